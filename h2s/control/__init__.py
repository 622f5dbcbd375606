"""The control channel: reserved streams in a tunnel, in gRPC's wire shape, with JSON payloads."""

from __future__ import annotations

from .channel import Channel, accept_channel, control_nonce, is_authentic, open_channel, refuse_call
from .framing import MAX_MESSAGE, MessageDecoder, encode_message
from .status import Code, ControlError, status_fields, status_of

__all__ = [
    "MAX_MESSAGE",
    "Channel",
    "Code",
    "ControlError",
    "MessageDecoder",
    "accept_channel",
    "control_nonce",
    "encode_message",
    "is_authentic",
    "open_channel",
    "refuse_call",
    "status_fields",
    "status_of",
]
