"""One function for each thing that the management API can do: arguments in, a `Call` out."""

from __future__ import annotations
