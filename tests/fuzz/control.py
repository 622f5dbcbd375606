"""Control calls against peers that send any bytes, on both ends.

The messages that come out do not depend on how the bytes were split; what is no message of h2s ends the call with a
status; the call ends once, and nothing is handed on behind its end.
"""

from __future__ import annotations

from typing import cast

from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from h2s.connection import Connection
from h2s.control import MAX_MESSAGE, Channel, Code, ControlError
from h2s.engine.session import Fields
from h2s.messages import AgentMessage, EdgeMessage

from .case import Case, Target, damaged, mostly, reads
from .messages import CONTROL

__all__ = ["CALL"]

VARIANTS = ("agent open", "agent ended", "edge open", "edge ended")
"""Which end takes the bytes, and whether the stream ends behind them."""
MODELS: dict[str, type[BaseModel]] = {"agent": EdgeMessage, "edge": AgentMessage}


class Wire:
    """The part of a `Connection` that a call uses."""

    def __init__(self) -> None:
        self.credited = 0
        self.ends = 0

    def credit(self, stream_id: int, size: int) -> None:
        self.credited += size

    def send_trailers(self, stream_id: int, fields: Fields) -> None:
        self.ends += 1

    def reset(self, stream_id: int, code: int) -> None:
        self.ends += 1

    def reset_when_sent(self, stream_id: int, code: int) -> None:
        """It follows the trailers."""

    def forget(self, stream_id: int) -> None:
        """Nothing is kept here."""


class Call:
    """One end of a call, and what it has heard."""

    def __init__(self, variant: str) -> None:
        self.end, self.closing = variant.split()
        self.wire = Wire()
        self.payloads: list[bytes] = []
        self.messages: list[str] = []
        self.ends: list[tuple[Code, str]] = []
        self.channel = Channel(
            cast(Connection, self.wire),
            on_message=self._on_message,
            on_end=lambda code, text: self.ends.append((code, text)),
            is_server=self.end == "agent",
        )

    def _on_message(self, payload: bytes) -> None:
        assert not self.ends
        self.payloads.append(payload)
        model = MODELS[self.end]
        try:
            message = model.model_validate_json(payload)
        except ValidationError:
            raise ControlError(Code.INVALID_ARGUMENT, "not a message") from None
        text = message.model_dump_json(exclude_none=True)
        assert model.model_validate_json(text) == message
        self.messages.append(text)

    def feed(self, *data: bytes) -> None:
        """Take the reads and, if it is to be, the end of the stream."""
        for read in data:
            if not self.channel.ended:
                self.channel.on_data(read, len(read), False)
        if self.closing == "ended" and not self.channel.ended:
            self.channel.on_data(b"", 0, True)
            assert self.channel.ended


def check(case: Case) -> None:
    """Take a case as it comes, and in one piece: both have to come to the same."""
    call, whole = Call(case.variant), Call(case.variant)
    call.feed(*case.reads)
    whole.feed(*filter(None, [case.data]))
    assert (call.messages, call.ends) == (whole.messages, whole.ends)
    assert call.payloads == payloads(case.data)[: len(call.payloads)]
    assert call.channel.ended or call.payloads == payloads(case.data)
    assert len(call.ends) == call.wire.ends == call.channel.ended
    assert call.channel.ended or call.wire.credited == len(case.data)


def payloads(data: bytes) -> list[bytes]:
    """Cut bytes into messages as gRPC's text says, to the first that is incomplete or not to be taken."""
    found = []
    while len(data) >= 5 and data[0] == 0 and (size := int.from_bytes(data[1:5], "big")) <= MAX_MESSAGE:
        if len(data) < 5 + size:
            break
        found.append(data[5 : 5 + size])
        data = data[5 + size :]
    return found


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """A message with its prefix, which may lie."""
    payload = draw(CONTROL)
    flag = draw(mostly([b"\0"], [b"\1", b"\x80"], weight=12))
    size = draw(mostly([len(payload)], [0, len(payload) + 1, 2**20, 2**20 + 1, 2**32 - 1], weight=8))
    return flag + size.to_bytes(4, "big") + payload


together = st.lists(framed(), max_size=4).map(b"".join)
CALL = Target(
    "control", st.builds(Case, st.sampled_from(VARIANTS), reads(together | damaged(together))), check
)
