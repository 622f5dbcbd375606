"""Everything that is fuzzed."""

from __future__ import annotations

from .case import Target
from .control import CALL
from .handshake import HANDSHAKE
from .http2 import HTTP2
from .ingress import INGRESS
from .response import RESPONSE
from .session import FLOOD, SESSION

__all__ = ["TARGETS"]

TARGETS: dict[str, Target] = {
    target.name: target for target in (INGRESS, HTTP2, RESPONSE, SESSION, FLOOD, HANDSHAKE, CALL)
}
