"""The agent's reader of responses against apps that do not keep to HTTP.

Whatever comes, in whatever reads: one head, a body, trailers perhaps, one end, or an error that says why not; nothing
behind the end is handed on, and nothing that HTTP/2 cannot carry. When the reader says that the connection is fit for
another request, h11 has to find the same single response in the bytes, and nothing behind it.
"""

from __future__ import annotations

from hypothesis import strategies as st

from agent.upstream.errors import UpstreamClosed, UpstreamError, UpstreamInvalid
from agent.upstream.response import Body, Event, Head, Informational, ResponseReader, Trailers
from agent.upstream.upgrade import Upgrade
from h2s.fields import response_error, trailer_error

from .case import Case, Target, reads
from .grammar import responses
from .oracle import read_response

__all__ = ["RESPONSE"]

BEYOND_H11 = ("illegal status line", "no response line")
"""What h11 says of things that are nothing to the reader, since it hands none of them on: control characters in a
reason phrase, and empty lines behind an interim head."""
OF_A_HEAD = (
    "multiple Transfer-Encoding",
    "Only Transfer-Encoding",
    "conflicting Content-Length",
    "bad Content-Length",
)
"""What h11 says of fields that frame a body even where they stand in trailers, which the reader drops there."""
VARIANTS = ("GET", "GET", "HEAD", "POST", "upgrade", "websocket")
"""The request's method, or the wish to upgrade."""


def read(case: Case) -> tuple[list[Event], ResponseReader, UpstreamError | None]:
    """Feed a reader to the end of the connection, or to the error that stops it."""
    upgrade = {"upgrade": Upgrade(b"websocket2"), "websocket": Upgrade(b"websocket")}.get(case.variant)
    reader = ResponseReader(method=b"GET" if upgrade else case.variant.encode(), upgrade=upgrade)
    events: list[Event] = []
    try:
        for data in case.reads:
            events += reader.feed(data)
            if reader.complete and not reader.upgraded and not reader.reusable:
                break
        reusable = reader.reusable
        events += reader.eof()
        assert reader.reusable == reusable
    except (UpstreamInvalid, UpstreamClosed) as error:
        return events, reader, error
    return events, reader, None


def check(case: Case) -> None:
    """Read a case, and look at it from all sides."""
    events, reader, error = read(case)
    check_order(events, complete=error is None)
    assert error is None or error.detail
    if reader.upgraded:
        assert case.variant == "upgrade"
        return
    whole_events, whole_reader, whole_error = read(Case(case.variant, (case.data,)))
    if error is None and whole_error is None:
        assert said(events) == said(whole_events)
    if whole_error is None and whole_reader.reusable:
        assert error is None
        # An empty line before a head may be taken for one behind the response, which only costs the connection.
        assert reader.reusable or b"\r\n\r\n\r\n" in case.data
    if error is None and reader.reusable:
        check_against_h11(case, events)


def check_order(events: list[Event], *, complete: bool) -> None:
    """Interim heads, the head, the body, trailers; the end once, and last."""
    heads = ends = 0
    for event in events:
        assert not ends, events
        if isinstance(event, Informational):
            assert not heads, events
            assert response_error(event.fields) is None
        elif isinstance(event, Head):
            heads += 1
            assert response_error(event.fields) is None
            assert not any(name.startswith(b"h2s-") for name, _ in event.fields)
        else:
            assert heads == 1, events
        if isinstance(event, Trailers):
            assert trailer_error(event.fields) is None
            ends += 1
        elif not isinstance(event, Informational):
            assert not isinstance(event, Body) or event.data or event.end_stream
            ends += event.end_stream
    if complete:
        assert heads == ends == 1, events


def check_against_h11(case: Case, events: list[Event]) -> None:
    """A connection that is kept has carried one response for h11 too, and not even an empty line behind it."""
    method = b"GET" if case.variant in ("upgrade", "websocket") else case.variant.encode()
    theirs = read_response(case.data, method=method, ended=False)
    if theirs.error.startswith(BEYOND_H11) or (theirs.status and theirs.error.startswith(OF_A_HEAD)):
        return
    assert theirs.whole, theirs
    assert not theirs.rest, theirs
    status, _, body, _ = said(events)
    assert (theirs.status, theirs.body) == (int(status), body)


def said(events: list[Event]) -> tuple[bytes, object, bytes, object]:
    """What the events say, however many there are: status, fields, body, trailers."""
    head = next((event.fields for event in events if isinstance(event, Head)), [(b":status", b"0")])
    body = b"".join(event.data for event in events if isinstance(event, Body))
    trailers = [event.fields for event in events if isinstance(event, Trailers)]
    return head[0][1], head[1:], body, trailers


CASES = st.builds(Case, st.sampled_from(VARIANTS), reads(responses))
RESPONSE = Target("response", CASES, check)
