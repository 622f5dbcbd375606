"""The edge's public ingress: HTTP/1.1 and HTTP/2 connections in, `Request`s for a `Gateway` out."""

from __future__ import annotations

from .limits import IngressLimits
from .listener import Ingress, public_ssl_context

__all__ = ["Ingress", "IngressLimits", "public_ssl_context"]
