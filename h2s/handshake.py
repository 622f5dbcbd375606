"""The handshake of h2s, from the first byte after TLS to the role swap, without I/O.

`Handshake` applies the law of `h2s.swap` to bytes: it cuts the stream into frames, gives phase-1 frames to an HTTP/2
session, keeps the SWAP frames for itself, and says when phase 2 begins.

Because each side is silent after its SWAP until it hears the other, no read can hold bytes of both phases; one that
does is a protocol error. The frames are cut here rather than in the session because a session would swallow what
follows a SWAP in the same read. Nothing of phase 1 lives on: the session is thrown away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn

from pydantic import ValidationError

from .engine import Limits, Role, Session, create_session
from .engine.session import Data, Event, Fields, Goaway, Head, Reset, Settings, Terminated, Trailers
from .errors import (
    ErrorCode,
    HandshakeError,
    LocalProtocolError,
    Refused,
    RemoteProtocolError,
    VersionMismatch,
)
from .fields import content_length
from .messages import Hello, Refusal, Welcome
from .swap import AGENT, EDGE, Input, State, Swap
from .wire import (
    EDGE_NAME,
    FRAME_HEADER_SIZE,
    H2_PREFACE,
    REGISTER_PATH,
    SETTINGS_H2S,
    SWAP,
    VERSIONS,
    VersionRange,
    agree,
    pack_versions,
    parse_frame_header,
    swap_frame,
    unpack_versions,
)

__all__ = ["Handshake", "HelloReceived", "Swapped"]

MAX_HELLO = 2**16 - 1
"""Bytes of a registration or its answer: what HTTP/2's initial windows hold."""
MAX_PHASE_1 = 128 * 1024
"""Bytes that a peer may send before the swap, all in all."""
MAX_FRAME = 16 * 1024
MAX_REASON = 256
"""Characters of a reason that quotes what a peer sent."""
EDGE_IS_SILENT = (State.SWAPPING, State.SWAPPED)
"""After its SWAP the edge says nothing, not even GOAWAY: the agent would take it for phase 2."""


@dataclass(frozen=True, slots=True)
class HelloReceived:
    """Edge: an agent wants to register. Answer with `Handshake.accept` or `Handshake.refuse`."""

    hello: Hello


@dataclass(frozen=True, slots=True)
class Swapped:
    """Phase 2 begins; `data` are its first bytes (agent) or empty (edge, which speaks first)."""

    data: bytes


class Handshake:
    """One side of phase 1 and the swap.

    Feed `receive` and write what `pull` returns after each call, also after it has raised: the GOAWAY or the
    refusal is in there. After `Swapped` the object is used up.
    """

    def __init__(self, role: Role, *, hello: Hello | None = None, versions: VersionRange = VERSIONS) -> None:
        """Start; the agent (client) gives its Hello."""
        assert (hello is None) == (role is EDGE)
        self.welcome: Welcome | None = None
        """Agent: the edge's answer, once it is there."""
        self._swap = Swap(role)
        self._hello = hello
        self._versions = versions
        self._version: int | None = None
        limits = Limits(
            max_concurrent_streams=1,
            stream_window=MAX_HELLO + 1,
            connection_window=MAX_HELLO,
            max_header_list_size=8 * 1024,
            extra_settings={SETTINGS_H2S: pack_versions(versions)},
        )
        self._session: Session = create_session(role, limits)
        self._buffer = bytearray()
        self._preface_due = len(H2_PREFACE) if role is EDGE else 0
        self._received = 0
        self._stream_id = 0
        self._status = 0
        self._body = bytearray()
        self._out = bytearray()

    @property
    def state(self) -> State:
        """Where the handshake stands."""
        return self._swap.state

    @property
    def version(self) -> int:
        """The version both speak; known after the peer's SETTINGS."""
        assert self._version is not None
        return self._version

    def pull(self) -> bytes:
        """Return all bytes that are to be written now."""
        self._collect()
        out = bytes(self._out)
        self._out.clear()
        return out

    def receive(self, data: bytes) -> list[HelloReceived | Swapped]:
        """Take bytes from the peer.

        Raises HandshakeError, one of its kinds, or RemoteProtocolError; then write `pull` and close.
        """
        if not data:
            return []
        if self.state is State.SWAPPED:
            raise LocalProtocolError("bytes of phase 2 for a handshake that is over")
        if self.state is State.SILENT:
            self._swap.move(Input.PHASE_2)
            return [Swapped(data)]
        try:
            return self._receive(data)
        except RemoteProtocolError as error:
            if self.state not in EDGE_IS_SILENT:
                self._session.goaway(error.code, debug=str(error).encode("utf-8", "replace")[:128])
            raise

    def accept(self, welcome: Welcome) -> None:
        """Edge: let the agent in. Then only SWAP may come.

        Raises RemoteProtocolError when the agent's windows do not hold the Welcome: SWAP may only follow all of it.
        """
        body = welcome.model_dump_json().encode()
        if len(body) > MAX_HELLO:
            raise LocalProtocolError(f"a Welcome of {len(body)} bytes; agents take {MAX_HELLO}")
        self._swap.move(Input.ACCEPT)
        self._answer(b"200", b"application/json", body)
        self._collect()
        if self._session.queued(self._stream_id):
            self._session.goaway(ErrorCode.FLOW_CONTROL_ERROR)
            raise RemoteProtocolError("no window for the Welcome", ErrorCode.FLOW_CONTROL_ERROR)
        self._out += swap_frame(self.version)

    def refuse(self, refusal: Refusal) -> None:
        """Edge: turn the agent away, and say why. Write `pull`, then close."""
        self._swap.move(Input.REFUSE)
        body = refusal.model_dump_json(exclude_none=True).encode()
        self._answer(str(refusal.status).encode(), b"application/problem+json", body)
        self._collect()
        self._session.goaway(ErrorCode.NO_ERROR)

    # -- frames ----------------------------------------------------------------------------------------------------

    def _receive(self, data: bytes) -> list[HelloReceived | Swapped]:
        self._received += len(data)
        if self._received > MAX_PHASE_1:
            raise RemoteProtocolError("too much before the swap", ErrorCode.ENHANCE_YOUR_CALM)
        self._buffer += data
        out: list[HelloReceived | Swapped] = []
        if not self._take_preface():
            return out
        while (frame := self._next_frame()) is not None:
            kind = frame[3]
            if kind == SWAP:
                out += self._on_swap(frame)
            elif self.state is State.SWAPPING or self.state is State.REFUSED:
                self._swap.move(Input.FRAME)
            else:
                for event in self._session.receive(frame):
                    out += self._on_event(event)
        return out

    def _take_preface(self) -> bool:
        """Pass the client's preface on to the session as soon as it is whole, or known to be wrong."""
        if not self._preface_due:
            return True
        head = bytes(self._buffer[: self._preface_due])
        if not H2_PREFACE.startswith(head):
            raise RemoteProtocolError("not HTTP/2")
        if len(head) < self._preface_due:
            return False
        self._session.receive(head)
        del self._buffer[: self._preface_due]
        self._preface_due = 0
        return True

    def _next_frame(self) -> bytes | None:
        buffer = self._buffer
        if len(buffer) < FRAME_HEADER_SIZE:
            return None
        length = parse_frame_header(buffer)[0]
        if length > MAX_FRAME:
            raise RemoteProtocolError("frame too large", ErrorCode.FRAME_SIZE_ERROR)
        end = FRAME_HEADER_SIZE + length
        if len(buffer) < end:
            return None
        frame = bytes(buffer[:end])
        del buffer[:end]
        return frame

    def _on_swap(self, frame: bytes) -> list[HelloReceived | Swapped]:
        length, _, _, stream_id = parse_frame_header(frame)
        if length != 4:
            raise RemoteProtocolError("SWAP of another size than 4 bytes", ErrorCode.FRAME_SIZE_ERROR)
        if stream_id:
            raise RemoteProtocolError("SWAP on a stream")
        self._swap.move(Input.SWAP)
        if int.from_bytes(frame[FRAME_HEADER_SIZE:], "big") != self.version:
            raise RemoteProtocolError("SWAP names another version than the SETTINGS agree on")
        if self._buffer:
            raise RemoteProtocolError("bytes behind SWAP")
        if self._swap.role is EDGE:
            return [Swapped(b"")]
        self._collect()
        self._out += swap_frame(self.version)
        return []

    def _collect(self) -> None:
        """Fix the order: what the session has to say now goes before what follows."""
        while data := self._session.pull(MAX_FRAME):
            self._out += data

    # -- what the frames of phase 1 mean ---------------------------------------------------------------------------

    def _on_event(self, event: Event) -> list[HelloReceived | Swapped]:
        match event:
            case Settings(values) if self.state is State.GREETING:
                self._greet(values)
            case Head(stream_id, fields, end_stream):
                self._swap.move(Input.FRAME)
                self._on_head(stream_id, fields)
                if end_stream:
                    return self._on_message()
            case Data(stream_id, data, _, end_stream):
                self._swap.move(Input.FRAME)
                if stream_id == self._stream_id:
                    self._body += data
                    self._check_size(len(self._body))
                    if end_stream:
                        return self._on_message()
            case Trailers():
                self._swap.move(Input.FRAME)
                return self._on_message()
            case Terminated(code, reason):
                raise RemoteProtocolError(reason, code)
            case Reset(_, code, _, local):
                raise RemoteProtocolError(
                    f"the registration is malformed as HTTP (code {code})"
                    if local
                    else f"the peer reset the registration (code {code})"
                )
            case Goaway(_, code, debug):
                text = debug[:MAX_REASON].decode("utf-8", "replace") or f"code {code}"
                raise HandshakeError(f"the peer closed the handshake: {text}")
            case _:
                self._swap.move(Input.FRAME)
        return []

    def _greet(self, values: dict[int, int]) -> None:
        if SETTINGS_H2S not in values:
            raise RemoteProtocolError("the peer speaks HTTP/2 but not h2s")
        theirs = unpack_versions(values[SETTINGS_H2S])
        self._swap.move(Input.SETTINGS)
        self._version = agree(self._versions, theirs)
        if self._swap.role is EDGE:
            return
        if self._version is None:
            self._session.goaway(ErrorCode.NO_ERROR, debug=b"no common version of h2s")
            raise VersionMismatch(_no_common_version(self._versions, theirs))
        assert self._hello is not None
        body = self._hello.model_dump_json().encode()
        fields = [
            (b":method", b"POST"),
            (b":scheme", b"https"),
            (b":authority", EDGE_NAME.encode()),
            (b":path", REGISTER_PATH),
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        self._stream_id = self._session.open(fields, end_stream=False)
        self._session.send_data(self._stream_id, body, end_stream=True)

    def _on_head(self, stream_id: int, fields: Fields) -> None:
        head = dict(fields)
        if self._swap.role is AGENT:
            self._status = int(head[b":status"])
            return
        if self._stream_id:
            raise RemoteProtocolError("a second request before the swap")
        self._stream_id = stream_id
        if head.get(b":method") != b"POST" or head.get(b":path") != REGISTER_PATH:
            self._reject(
                status=404, code="not_registration", detail=f"register with POST {REGISTER_PATH.decode()}"
            )
        self._check_size(content_length(fields) or 0)

    def _check_size(self, size: int) -> None:
        """Stop at a message that is too large; trying again would not make it smaller."""
        if size <= MAX_HELLO:
            return
        detail = f"a message of more than {MAX_HELLO} bytes"
        if self._swap.role is AGENT:
            raise RemoteProtocolError(detail, ErrorCode.ENHANCE_YOUR_CALM)
        self._reject(status=413, code="hello_too_large", detail=detail)

    def _on_message(self) -> list[HelloReceived | Swapped]:
        """A request (edge) or its answer (agent) is whole."""
        body, self._body = bytes(self._body), bytearray()
        if self._swap.role is AGENT:
            self._on_answer(body)
            return []
        if self._version is None:
            self._reject(status=505, code="version_unsupported", detail="no version of h2s is spoken by both")
        try:
            hello = Hello.model_validate_json(body)
        except ValidationError as error:
            self._reject(status=400, code="hello_invalid", detail=_first_error(error))
        self._swap.move(Input.HELLO)
        return [HelloReceived(hello)]

    def _on_answer(self, body: bytes) -> None:
        try:
            if self._status == 200:
                self.welcome = Welcome.model_validate_json(body)
                self._swap.move(Input.WELCOME)
                return
            refusal = Refusal.model_validate_json(body)
        except ValidationError as error:
            raise RemoteProtocolError(f"the edge's answer is malformed: {_first_error(error)}") from None
        self._swap.move(Input.REFUSAL)
        raise Refused(
            refusal.detail,
            code=refusal.code,
            status=refusal.status,
            permanent=refusal.permanent,
            retry_after=refusal.retry_after,
        )

    def _reject(self, *, status: int, code: str, detail: str) -> NoReturn:
        """Edge: answer a registration that does not even parse, and stop."""
        refusal = Refusal(
            title="Registration refused", status=status, detail=detail, code=code, permanent=True
        )
        self.refuse(refusal)
        raise Refused(detail, code=code, status=status, permanent=True)

    def _answer(self, status: bytes, content_type: bytes, body: bytes) -> None:
        fields = [
            (b":status", status),
            (b"content-type", content_type),
            (b"content-length", str(len(body)).encode()),
        ]
        self._session.send_head(self._stream_id, fields, end_stream=False)
        self._session.send_data(self._stream_id, body, end_stream=True)


def _no_common_version(ours: VersionRange, theirs: VersionRange) -> str:
    return f"no common version of h2s: we speak {ours[0]} to {ours[1]}, the edge {theirs[0]} to {theirs[1]}"


def _first_error(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return f"{where[:MAX_REASON]}: {first['msg'][:MAX_REASON]}"
