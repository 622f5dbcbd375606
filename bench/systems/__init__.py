"""The systems that are measured beside each other, each with its default settings where that is sensible.

All of them stand between the same clients and the same application; between edge and agent there is TLS and two
connections (which is Backplane's default); the edge writes an access log into a file and counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from .backplane import Backplane
from .direct import Direct
from .envoy import Envoy
from .haproxy import HAProxy
from .system import Running, Site, System

__all__ = ["SYSTEMS", "Running", "Site", "System"]

SYSTEMS: Mapping[str, System] = {
    system.name: system
    for system in (Direct(), Backplane("native"), Backplane("portable"), HAProxy(), Envoy())
}
"""All of them, by name."""
