"""Calls of methods: the edge's end and the agent's, between two connections in memory."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from h2s.connection import Connection, Stream
from h2s.control import (
    METHODS,
    POLL,
    SYNC,
    CallServer,
    Channel,
    Code,
    ControlError,
    Duplex,
    Unary,
    call_unary,
    encode_message,
    open_call,
    parse_message,
    status_of,
)
from h2s.control.server import CALLS
from h2s.engine.session import Fields
from h2s.errors import ErrorCode
from h2s.messages import (
    AgentMessage,
    Draining,
    EdgeMessage,
    InstanceReport,
    PollRequest,
    Report,
)

from ..loops import in_loop, live_timers, until
from ..memory import Pair, RecordingOwner, RecordingStream, settle
from ..said import NONCE

REPORT = Report(instances=[InstanceReport(service="web", healthy=1, total=2)])


class Agent(RecordingOwner):
    """Serves Sync and Poll; what it answers to a Poll, or raises, is `answer`."""

    def __init__(self, answer: Report | Exception = REPORT) -> None:
        super().__init__()
        self.answer = answer
        self.sync: Channel
        self.messages: list[EdgeMessage] = []
        self.ends: list[tuple[Code, str]] = []
        self.strangers = 0
        self.server = CallServer(
            (
                Duplex(
                    SYNC,
                    self._on_sync,
                    self.messages.append,
                    lambda code, text: self.ends.append((code, text)),
                ),
                Unary(POLL, self._on_poll),
            ),
            on_stranger=self._on_stranger,
        )

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        return self.server.take(connection, stream_id, fields, end_stream, nonce=NONCE)

    def _on_stranger(self) -> None:
        self.strangers += 1

    def _on_sync(self, channel: Channel) -> None:
        self.sync = channel

    def _on_poll(self, request: PollRequest) -> Report:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Raw:
    """A call made by hand."""

    def __init__(self, agent: RecordingOwner | None = None) -> None:
        self.agent = agent or Agent()
        self.pair = Pair(server_owner=self.agent)
        self.stream = RecordingStream()
        self.stream_id = 0

    async def open(self, *changes: tuple[bytes, bytes | None], end_stream: bool = False) -> Raw:
        """Open a Poll, but for `changes` of its head; a field changed to None is left out."""
        await self.pair.start()
        head = {
            b":method": b"POST",
            b":scheme": b"https",
            b":authority": b"edge.h2s.internal",
            b":path": b"/h2s.v1.Control/Poll",
            b"content-type": b"application/grpc+json",
            b"te": b"trailers",
            b"h2s-control": NONCE.encode(),
        }
        fields = [(name, value) for name, value in {**head, **dict(changes)}.items() if value is not None]
        self.stream_id = self.pair.client.open(fields, self.stream, end_stream=end_stream)
        await settle()
        return self

    async def open_another(self) -> Code | None:
        """Open one more call; return the status with which it is refused, or None."""
        stream = RecordingStream()
        fields = [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"a")]
        fields += [(b":path", POLL.path), (b"content-type", b"application/grpc")]
        self.pair.client.open([*fields, (b"h2s-control", NONCE.encode())], stream, end_stream=False)
        await settle()
        status = dict(stream.events[0][1]).get(b"grpc-status")
        return None if status is None else Code(int(status))

    async def send(self, *payloads: bytes, end_stream: bool = True) -> Raw:
        """Send messages."""
        wire = b"".join(map(encode_message, payloads))
        self.pair.client.send_data(self.stream_id, wire, end_stream=end_stream)
        await settle()
        return self

    @property
    def status(self) -> tuple[bytes, Code, str]:
        """The HTTP status and that of the call."""
        http = dict(self.stream.events[0][1])[b":status"]
        last = next(event for event in reversed(self.stream.events) if event[0] in ("head", "trailers"))
        return http, *status_of(last[1])


async def poll(agent: RecordingOwner, **options: Any) -> tuple[Pair, list[Report | ControlError]]:
    """Call Poll on `agent`; the list has the answer once it is there."""
    pair = await Pair(server_owner=agent).start()
    answers: list[Report | ControlError] = []
    call_unary(pair.client, POLL, PollRequest(), nonce=NONCE, on_done=answers.append, **options)
    await settle()
    return pair, answers


def test_every_method_has_its_path_and_its_bounds() -> None:
    assert [method.path for method in METHODS.values()] == [
        b"/h2s.v1.Control/Sync",
        b"/h2s.v1.Control/Poll",
        b"/h2s.v1.Control/Inspect",
    ]
    assert all((method.timeout is not None) is method.unary for method in METHODS.values())


@in_loop
async def test_a_unary_call_is_asked_and_answered_and_both_ends_let_go() -> None:
    pair, answers = await poll(Agent())
    assert answers == [REPORT]
    assert pair.client.session.open_streams == pair.server.session.open_streams == 0
    assert pair.client.streams == pair.server.streams == {}
    pair.client.abort()
    await settle()
    assert live_timers() == []


@in_loop
async def test_the_request_says_how_long_it_may_take() -> None:
    agent = RecordingOwner()
    pair, _ = await poll(agent)
    assert (b"grpc-timeout", b"10000m") in agent.requests[0][1]
    pair.client.abort()


@in_loop
async def test_a_call_that_is_not_answered_in_time_is_given_up_and_cancelled() -> None:
    agent = RecordingOwner()
    _, answers = await poll(agent, timeout=0.01)
    await until(lambda: answers)
    assert isinstance(answers[0], ControlError)
    assert answers[0].code is Code.DEADLINE_EXCEEDED
    await settle()
    [stream] = agent.streams
    assert isinstance(stream, RecordingStream)
    assert stream.events[-1] == ("reset", ErrorCode.CANCEL, True)


@in_loop
async def test_a_call_that_is_not_asked_in_time_is_ended_by_the_agent() -> None:
    raw = await Raw().open((b"grpc-timeout", b"10m"))
    await until(lambda: len(raw.stream.events) > 1)
    assert raw.status == (b"200", Code.DEADLINE_EXCEEDED, "the call took too long")


@in_loop
async def test_a_cancelled_call_is_not_answered() -> None:
    pair = await Pair(server_owner=Agent()).start()
    answers: list[Report | ControlError] = []
    channel = call_unary(pair.client, POLL, PollRequest(), nonce=NONCE, on_done=answers.append)
    channel.finish(Code.CANCELLED, "enough")
    await settle()
    assert [(answer.code, str(answer)) for answer in answers if isinstance(answer, ControlError)] == [
        (Code.CANCELLED, "enough")
    ]
    assert pair.server.session.open_streams == 0


@in_loop
async def test_what_the_handler_raises_is_the_calls_status() -> None:
    _, answers = await poll(Agent(ControlError(Code.UNAVAILABLE, "später: 100%")))
    assert [(answer.code, str(answer)) for answer in answers if isinstance(answer, ControlError)] == [
        (Code.UNAVAILABLE, "später: 100%")
    ]


@in_loop
async def test_a_newer_peer_may_say_more() -> None:
    raw = await Raw().open((b"x-newer", b"1"), (b"grpc-encoding", b"identity"))
    await raw.send(b'{"newer": {"deep": [1]}}')
    assert raw.status == (b"200", Code.OK, "")


@pytest.mark.parametrize(
    ("payloads", "code", "text"),
    [
        ((), Code.UNIMPLEMENTED, "Poll takes one message, and none came"),
        ((b"{}", b"{}"), Code.UNIMPLEMENTED, "Poll takes one message, and a second came"),
        ((b"[]",), Code.INVALID_ARGUMENT, "no valid PollRequest: Input should be an object"),
        ((b" " * 5000,), Code.RESOURCE_EXHAUSTED, "a message of 5000 bytes; the limit is 4096"),
    ],
    ids=["none", "two", "not an object", "too large"],
)
def test_what_is_not_one_good_message_is_refused(payloads: tuple[bytes, ...], code: Code, text: str) -> None:
    @in_loop
    async def test() -> None:
        raw = await Raw().open()
        await raw.send(*payloads)
        assert raw.status == (b"200", code, text)
        assert raw.pair.server.session.open_streams == 0

    test()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ((b":path", b"/h2s.v1.Control/Fly"), b"200", Code.UNIMPLEMENTED),
        ((b":path", b"/h2s.v1.Control/"), b"200", Code.UNIMPLEMENTED),
        ((b":path", b"/h2s.v1.Control/Poll?x"), b"200", Code.UNIMPLEMENTED),
        ((b":path", b"/other.Service/Poll"), b"200", Code.UNIMPLEMENTED),
        ((b":method", b"GET"), b"405", Code.INTERNAL),
        ((b"content-type", None), b"415", Code.INVALID_ARGUMENT),
        ((b"content-type", b"application/json"), b"415", Code.INVALID_ARGUMENT),
        ((b"content-type", b"application/grpc+proto"), b"415", Code.INVALID_ARGUMENT),
        ((b"grpc-timeout", b"soon"), b"200", Code.INVALID_ARGUMENT),
    ],
)
def test_what_is_no_call_is_refused_at_its_head(
    change: tuple[bytes, bytes | None], status: bytes, code: Code
) -> None:
    @in_loop
    async def test() -> None:
        raw = await Raw().open(change)
        assert raw.status[:2] == (status, code)
        assert raw.pair.server.session.open_streams == 0

    test()


@pytest.mark.parametrize("value", [b"application/grpc", b"application/grpc+json; charset=utf-8"])
def test_other_words_for_the_same_content_are_taken(value: bytes) -> None:
    @in_loop
    async def test() -> None:
        raw = await Raw().open((b"content-type", value))
        await raw.send(b"{}")
        assert raw.status == (b"200", Code.OK, "")

    test()


@in_loop
async def test_a_call_with_a_wrong_nonce_is_reset_whatever_else_is_wrong_with_it() -> None:
    agent = Agent()
    raw = await Raw(agent).open((b"h2s-control", b"f" * 32), (b":path", b"/"))
    assert raw.stream.events == [("reset", ErrorCode.PROTOCOL_ERROR, True)]
    assert agent.strangers == 1


@in_loop
async def test_a_call_that_ends_with_its_head_is_answered() -> None:
    raw = await Raw().open(end_stream=True)
    assert raw.status == (b"200", Code.UNIMPLEMENTED, "Poll takes one message, and none came")
    assert raw.pair.server.streams == {}


@in_loop
async def test_calls_of_one_method_are_bounded_and_the_others_are_not_touched() -> None:
    agent = Agent()
    raw = await Raw(agent).open()
    for _ in range(POLL.at_once - 1):
        await raw.open_another()
    assert await raw.open_another() == Code.RESOURCE_EXHAUSTED
    ends: list[Code] = []
    open_call(
        raw.pair.client,
        SYNC,
        nonce=NONCE,
        on_message=lambda message: None,
        on_end=lambda code, text: ends.append(code),
    )
    await settle()
    assert ends == []
    await raw.send(b"{}")
    assert await raw.open_another() is None
    raw.pair.client.abort()
    await settle()


@in_loop
async def test_calls_in_quick_succession_are_refused_and_nothing_worse() -> None:
    pair = await Pair(server_owner=Agent()).start()
    answers: list[Report | ControlError] = []
    for _ in range(CALLS.burst + 50):
        call_unary(pair.client, POLL, PollRequest(), nonce=NONCE, on_done=answers.append)
        await settle()
    refused = [answer for answer in answers if isinstance(answer, ControlError)]
    assert 0 < len(refused) <= 50
    assert {answer.code for answer in refused} == {Code.RESOURCE_EXHAUSTED}
    assert not pair.client.closed


@in_loop
async def test_an_agent_that_says_too_much_loses_the_call_and_learns_why() -> None:
    agent = Agent()
    pair = await Pair(server_owner=agent).start()
    said: list[AgentMessage] = []
    ends: list[tuple[Code, str]] = []
    open_call(
        pair.client,
        SYNC,
        nonce=NONCE,
        on_message=said.append,
        on_end=lambda code, text: ends.append((code, text)),
    )
    await settle()
    for _ in range(1100):
        agent.sync.send(AgentMessage(draining=Draining()))
    await settle()
    assert ends == [(Code.RESOURCE_EXHAUSTED, "too many messages")]
    assert 1000 <= len(said) < 1100
    assert agent.ends == [
        (Code.RESOURCE_EXHAUSTED, f"the stream was reset (code {ErrorCode.ENHANCE_YOUR_CALM})")
    ]


@in_loop
async def test_a_large_message_counts_for_several() -> None:
    agent = Agent()
    pair = await Pair(server_owner=agent).start()
    ends: list[Code] = []
    channel = open_call(
        pair.client,
        SYNC,
        nonce=NONCE,
        on_message=lambda message: None,
        on_end=lambda code, text: ends.append(code),
    )
    await settle()
    payload = encode_message(b"{" + b" " * 400_000 + b"}")
    for _ in range(11):
        pair.server.send_data(channel.stream_id, payload, end_stream=False)
        await settle()
    assert ends == [Code.RESOURCE_EXHAUSTED]


class ByHand(RecordingOwner):
    """Answers a call with these messages and this status."""

    def __init__(self, *answers: BaseModel, code: Code = Code.OK) -> None:
        super().__init__()
        self.answers = answers
        self.code = code

    def on_stream(
        self, connection: Connection, stream_id: int, fields: Fields, end_stream: bool
    ) -> Stream | None:
        head = [(b":status", b"200"), (b"content-type", b"application/grpc+json")]
        connection.send_head(stream_id, head, end_stream=False)
        for answer in self.answers:
            payload = encode_message(answer.model_dump_json().encode())
            connection.send_data(stream_id, payload, end_stream=False)
        connection.send_trailers(stream_id, [(b"grpc-status", str(int(self.code)).encode())])
        return RecordingStream()


class Lie(BaseModel):
    instances: list[dict[str, int | str]]


@pytest.mark.parametrize(
    ("agent", "code", "text"),
    [
        (ByHand(), Code.UNIMPLEMENTED, "Poll ended without an answer"),
        (ByHand(REPORT, REPORT), Code.UNIMPLEMENTED, "Poll has one answer, and a second came"),
        (ByHand(REPORT, code=Code.ABORTED), Code.ABORTED, ""),
        (
            ByHand(Lie(instances=[{"service": "web", "healthy": -1, "total": 1}])),
            Code.INVALID_ARGUMENT,
            "no valid Report: instances.0.healthy: Input should be greater than or equal to 0",
        ),
        (
            ByHand(Lie(instances=[{"service": "web", "healthy": 1, "total": 10**9}])),
            Code.INVALID_ARGUMENT,
            "no valid Report: instances.0.total: Input should be less than or equal to 1000000",
        ),
    ],
    ids=["none", "two", "one and an error", "negative", "a thousand million"],
)
def test_what_is_not_one_good_answer_is_an_error_that_says_what(agent: ByHand, code: Code, text: str) -> None:
    @in_loop
    async def test() -> None:
        _, answers = await poll(agent)
        assert [(answer.code, str(answer)) for answer in answers if isinstance(answer, ControlError)] == [
            (code, text)
        ]

    test()


@pytest.mark.parametrize(
    ("reset", "code"),
    [
        (ErrorCode.REFUSED_STREAM, Code.UNAVAILABLE),
        (ErrorCode.CANCEL, Code.CANCELLED),
        (ErrorCode.ENHANCE_YOUR_CALM, Code.RESOURCE_EXHAUSTED),
        (ErrorCode.INTERNAL_ERROR, Code.INTERNAL),
        (0xABCD, Code.UNKNOWN),
    ],
)
def test_a_reset_is_a_status(reset: int, code: Code) -> None:
    @in_loop
    async def test() -> None:
        pair, answers = await poll(RecordingOwner())
        pair.server.reset(1, reset)
        await settle()
        assert [answer.code for answer in answers if isinstance(answer, ControlError)] == [code]

    test()


@pytest.mark.parametrize(
    ("status", "code"), [(b"404", Code.UNIMPLEMENTED), (b"503", Code.UNAVAILABLE), (b"418", Code.UNKNOWN)]
)
@pytest.mark.parametrize("end_stream", [True, False])
def test_an_answer_that_is_no_calls_is_what_its_http_status_says(
    status: bytes, code: Code, end_stream: bool
) -> None:
    @in_loop
    async def test() -> None:
        pair, answers = await poll(RecordingOwner())
        pair.server.send_head(1, [(b":status", status)], end_stream=end_stream)
        await settle()
        assert [answer.code for answer in answers if isinstance(answer, ControlError)] == [code]

    test()


def test_a_message_that_is_wrong_says_where_and_shows_none_of_it() -> None:
    with pytest.raises(ControlError) as caught:
        parse_message(AgentMessage, b'{"report":{"instances":[{"service":"SECRET","healthy":0,"total":0}]}}')
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert str(caught.value).startswith("no valid AgentMessage: report.instances.0.service: ")
    assert "SECRET" not in str(caught.value)
