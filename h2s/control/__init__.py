"""The control channel: reserved streams in a tunnel, in gRPC's wire shape, with JSON payloads.

`METHODS` are the calls there are. The agent serves them with a `CallServer`; the edge makes them with `open_call` and
`call_unary`. `Channel` is one end of one call, below what it is about.
"""

from __future__ import annotations

from .caller import call_unary, open_call
from .channel import Channel, accept_channel, control_nonce, is_authentic, open_channel, refuse_call
from .framing import MAX_MESSAGE, MessageDecoder, encode_message
from .method import INSPECT, METHODS, POLL, SYNC, Bounds, Method, parse_message
from .server import CallServer, Duplex, Unary
from .status import Code, ControlError, status_fields, status_of

__all__ = [
    "INSPECT",
    "MAX_MESSAGE",
    "METHODS",
    "POLL",
    "SYNC",
    "Bounds",
    "CallServer",
    "Channel",
    "Code",
    "ControlError",
    "Duplex",
    "MessageDecoder",
    "Method",
    "Unary",
    "accept_channel",
    "call_unary",
    "control_nonce",
    "encode_message",
    "is_authentic",
    "open_call",
    "open_channel",
    "parse_message",
    "refuse_call",
    "status_fields",
    "status_of",
]
