"""Answers of an app that is broken, or in other hands; one row a case.

Whatever it sends, its client gets the answer, a 502 that says why in the edge's log, or a broken answer; no other
client gets anything of it; the next request on the same tunnel is served; and a connection with anything left over is
never used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from .client import Client, CutShort, Response, fetch, request
from .client2 import Client2
from .rawapp import CLOSE, GOOD, WAIT, Answer, Scene

pytestmark = pytest.mark.e2e

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"4\r\ngood\r\n0\r\n\r\n"
EVIL = OK + b"Content-Length: 4\r\n\r\nevil"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One set of programs for the whole grid."""
    with Scene.at(tmp_path_factory.mktemp("responses")) as scene:
        yield scene


@dataclass(frozen=True)
class Case:
    """An answer, and what its client gets: this status, body and fields."""

    answer: Answer
    status: int = 200
    body: bytes = b""
    method: str = "GET"
    has: dict[bytes, bytes] = field(default_factory=dict)
    lacks: tuple[bytes, ...] = ()
    reused: bool = False
    """The connection is fit for the next request."""


WHOLE = {
    "HEAD with a length": Case(
        (OK + b"Content-Length: 1000\r\n\r\n",), method="HEAD", has={b"content-length": b"1000"}, reused=True
    ),
    "HEAD with chunks announced": Case((CHUNKED,), method="HEAD", reused=True),
    "HEAD with a body": Case((GOOD,), method="HEAD", has={b"content-length": b"4"}),
    "HEAD with a body that is a response": Case((OK + b"Content-Length: 42\r\n\r\n" + EVIL,), method="HEAD"),
    "HEAD with chunks": Case((CHUNKED + b"4\r\nevil\r\n0\r\n\r\n",), method="HEAD"),
    "204": Case((b"HTTP/1.1 204 x\r\n\r\n",), 204, lacks=(b"content-length",), reused=True),
    "204 with a length": Case(
        (b"HTTP/1.1 204 x\r\n" + EMPTY,), 204, lacks=(b"content-length", b"transfer-encoding"), reused=True
    ),
    "204 with a body": Case(
        (b"HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\nevil",), 204, lacks=(b"content-length",)
    ),
    "204 with chunks": Case(
        (b"HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n",), 204
    ),
    "304 with a length": Case(
        (b"HTTP/1.1 304 x\r\nContent-Length: 1000\r\nETag: e\r\n\r\n",),
        304,
        has={b"content-length": b"1000", b"etag": b"e"},
        reused=True,
    ),
    "204 that announces a body": Case((b"HTTP/1.1 204 x\r\nContent-Length: 4\r\n\r\n",), 204),
    "304 with a body": Case((b"HTTP/1.1 304 x\r\nContent-Length: 4\r\n\r\nevil",), 304),
    "two responses at once": Case((GOOD + EVIL,), body=b"good"),
    "a hundred responses at once": Case((GOOD + EVIL * 100,), body=b"good"),
    "surplus that is no response": Case((GOOD + b"surplus",), body=b"good"),
    "empty lines behind the answer": Case((GOOD + b"\r\n\r\n",), body=b"good"),
    "an empty line behind a body of them": Case(
        (OK + b"Content-Length: 4\r\n\r\n\r\n\r\n\r\n",), body=b"\r\n\r\n"
    ),
    "an empty line behind chunks": Case((CHUNKED + b"4\r\ngood\r\n0\r\n\r\n\r\n",), body=b"good"),
    "a bare LF behind 204": Case((b"HTTP/1.1 204 x\r\n\r\n\n",), 204),
    "an empty line behind HEAD": Case((OK + b"Content-Length: 9\r\n\r\n\r\n",), method="HEAD"),
    "surplus behind chunks": Case((CHUNKED + b"4\r\ngood\r\n0\r\n\r\n" + EVIL,), body=b"good"),
    "100 and the answer": Case((b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD,), body=b"good", reused=True),
    "60 interim heads": Case(
        (b"HTTP/1.1 103 x\r\nLink: </a>\r\n\r\n" * 60 + GOOD,), body=b"good", reused=True
    ),
    "an upgrade offered": Case(
        (OK + b"Connection: upgrade\r\nUpgrade: h2c, websocket\r\nContent-Length: 4\r\n\r\ngood",),
        body=b"good",
        lacks=(b"upgrade",),
        reused=True,
    ),
    "internal fields": Case(
        (OK + b"H2S-Error: upstream-refused\r\nh2s-control: 00\r\nh2s-x: y\r\n" + EMPTY,),
        lacks=(b"h2s-error", b"h2s-control", b"h2s-x"),
        reused=True,
    ),
    "hop-by-hop fields": Case(
        (
            OK
            + b"Connection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\nProxy-Connection: x\r\n"
            + EMPTY,
        ),
        lacks=(b"x-hop", b"proxy-connection"),
        reused=True,
    ),
    "latin-1 values": Case(
        (OK + b"X-Name: caf\xe9 \x80\xff\r\n" + EMPTY,), has={b"x-name": b"caf\xe9 \x80\xff"}, reused=True
    ),
    "names of all tokens": Case(
        (OK + b"X!#$%&'*+-.^_`|~9: v\r\n" + EMPTY,), has={b"x!#$%&'*+-.^_`|~9": b"v"}, reused=True
    ),
    "latin-1 reason": Case((b"HTTP/1.1 200 caf\xe9\r\n" + EMPTY,), reused=True),
    "no reason": Case((b"HTTP/1.1 200 \r\n" + EMPTY,), reused=True),
    "HTTP/1.0": Case((b"HTTP/1.0 200 OK\r\n\r\ngood", CLOSE), body=b"good"),
    "until the end": Case((OK + b"\r\ngood", CLOSE), body=b"good"),
    "HTTP/1.0 with chunks": Case(
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,),
        body=b"good",
    ),
    "an empty line in front": Case((b"\r\n" + GOOD,), body=b"good"),
    "two hosts": Case((OK + b"Host: a\r\nHost: b\r\n" + EMPTY,), has={b"host": b"a"}, reused=True),
    "two hosts in trailers": Case(
        (CHUNKED + CHUNKS.replace(b"0\r\n", b"0\r\nHost: a\r\nHost: b\r\n"),), body=b"good", reused=True
    ),
    "an unknown status": Case((b"HTTP/1.1 799 x\r\n" + EMPTY,), 799, reused=True),
}


@pytest.mark.parametrize("case", WHOLE.values(), ids=WHOLE)
def test_answered_and_only_this_client_is(scene: Scene, case: Case) -> None:
    response = ask(scene, case.answer, method=case.method)
    assert response.status == case.status
    assert response.body == case.body
    assert {name: response.head.value(name) for name in case.has} == case.has
    assert [name for name in case.lacks if response.head.value(name) is not None] == []
    assert served_next(scene) is case.reused


INVALID = {
    "not HTTP": ((b"SSH-2.0-OpenSSH_9.2\r\n",), ""),
    "HTTP/2 without a question": ((b"\x00\x00\x00\x04\x00\x00\x00\x00\x00",), ""),
    "HTTP/2.0": ((b"HTTP/2.0 200 OK\r\n" + EMPTY,), ""),
    "HTTP/0.9": ((b"<html>hello</html>", CLOSE), ""),
    "status 99": ((b"HTTP/1.1 099 x\r\n" + EMPTY,), "status"),
    "status 2000": ((b"HTTP/1.1 2000 x\r\n" + EMPTY,), ""),
    "nothing": ((CLOSE,), ""),
    "half a head": ((OK + b"A: b\r\n", CLOSE), ""),
    "101 without a question": (
        (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw",),
        "without being asked",
    ),
    "101 behind 100": (
        (b"HTTP/1.1 100 x\r\n\r\nHTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n",),
        "without being asked",
    ),
    "a flood of 1xx": ((b"HTTP/1.1 103 x\r\n\r\n" * 10_000 + GOOD,), "informational"),
    "CL and TE": ((OK + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",), ""),
    "TE and CL": ((OK + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",), ""),
    "two lengths": ((OK + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\ngood!",), "Content-Length"),
    "two lengths, equal": ((OK + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\ngood",), "Content-Length"),
    "a list of lengths": ((OK + b"Content-Length: 4, 4\r\n\r\ngood",), "Content-Length"),
    "a negative length": ((OK + b"Content-Length: -4\r\n\r\ngood",), "Content-Length"),
    "a length too large": ((OK + b"Content-Length: 18446744073709551620\r\n\r\ngood",), "Content-Length"),
    "a length of 19 digits": ((OK + b"Content-Length: 9999999999999999999\r\n\r\ngood",), "content-length"),
    "an empty length": ((OK + b"Content-Length:\r\n\r\ngood",), "Content-Length"),
    "another coding": ((OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",), "transfer-encoding"),
    "an unknown coding": ((OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",), "transfer-encoding"),
    "chunked twice": ((OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",), ""),
    "two codings": ((OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",), ""),
    "bare LF": ((b"HTTP/1.1 200 OK\nContent-Length: 4\n\ngood",), ""),
    "bare LF behind a field": ((OK + b"A: b\nContent-Length: 0\r\n\r\n",), ""),
    "bare CR in a value": ((OK + b"X-Bad: a\rb\r\n" + EMPTY,), ""),
    "obs-fold": ((OK + b"X-Fold: a\r\n b\r\n" + EMPTY,), ""),
    "a space before the colon": ((OK + b"X-Bad : a\r\n" + EMPTY,), ""),
    "a space in a name": ((OK + b"X Bad: a\r\n" + EMPTY,), ""),
    "latin-1 in a name": ((OK + b"X-Caf\xe9: a\r\n" + EMPTY,), ""),
    "an empty name": ((OK + b": a\r\n" + EMPTY,), ""),
    **{
        f"{octet!r} in a value": ((OK + b"A: b\r\nX-Bad: a%bb\r\n" % octet + EMPTY,), "x-bad")
        for octet in (b"\x00", b"\x01", b"\x0b", b"\x1b", b"\x7f")
    },
    "an endless line": ((b"HTTP/1.1 200 " + b"x" * 200_000,), ""),
    "an endless value": ((OK + b"A: " + b"x" * 200_000,), ""),
    "endless fields": ((OK + b"A: b\r\n" * 50_000,), ""),
    "a large head": ((OK + b"A: b\r\n" * 20_000 + EMPTY,), "head"),
    "a bad chunk in the first read": ((CHUNKED + b"zz\r\n",), "chunk"),
}


@pytest.mark.parametrize(("answer", "said"), INVALID.values(), ids=INVALID)
def test_what_is_no_answer_is_a_502_that_says_why_in_the_log(scene: Scene, answer: Answer, said: str) -> None:
    target = f"/{len(scene.app.seen)}"
    scene.app.answers[target] = answer
    response = fetch(scene.plain.public, request(target))
    assert response.status == 502
    assert response.json()["code"] in ("upstream_invalid", "upstream_closed")
    assert served_next(scene) is False
    error = logged_error(scene, target)
    assert error.startswith(("upstream-invalid: ", "upstream-closed: "))
    assert said in error


BROKEN = {
    "a body short of its length": (OK + b"Content-Length: 100\r\n\r\nshort", CLOSE),
    "no last chunk": (CHUNKED + b"4\r\ngood\r\n", CLOSE),
    "a last chunk without its end": (CHUNKED + b"4\r\ngood\r\n0\r\n", CLOSE),
    "a chunk longer than its size": (CHUNKED, WAIT, b"4\r\ntoo long\r\n0\r\n\r\n"),
    "a bad size": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"xyz\r\n"),
    "a negative size": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"-4\r\n"),
    "a hexadecimal prefix": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"0x4\r\ngood\r\n0\r\n\r\n"),
    "a size that overflows": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"f" * 17 + b"\r\n"),
    "endless extensions": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"1;" + b"x" * 200_000),
    "endless trailers": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"0\r\n" + b"A: b\r\n" * 50_000),
    "a trailer line that ends in LF": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"0\r\nA: b\n\r\n"),
    "a trailer that HTTP/2 cannot carry": (CHUNKED + b"4\r\ngood\r\n", WAIT, b"0\r\nX-Bad: \x01\r\n\r\n"),
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_an_answer_that_breaks_never_looks_whole(scene: Scene, answer: Answer) -> None:
    scene.app.go_on.clear()
    scene.app.answers["/case"] = answer
    with pytest.raises((CutShort, ConnectionResetError)):
        read_until_it_breaks(scene, begins=WAIT in answer and answer[0] != CHUNKED)
    assert served_next(scene) is False


def read_until_it_breaks(scene: Scene, *, begins: bool) -> None:
    """Read an answer of which the app sends the rest when the beginning has been read, if it has one."""
    with Client(scene.plain.public) as client:
        client.send(request("/case"))
        pieces = client.pieces(client.read_head())
        if begins:
            assert next(pieces) == b"good"
        scene.app.go_on.set()
        for _ in pieces:
            continue


def test_a_second_answer_that_comes_late_is_nobodys(scene: Scene) -> None:
    scene.app.go_on.clear()
    scene.app.answers["/case"] = (GOOD, WAIT, EVIL)
    assert fetch(scene.plain.public, request("/case")).body == b"good"
    scene.app.go_on.set()
    for _ in range(20):
        scene.serves()


def test_an_answer_before_the_end_of_the_request_ends_both(scene: Scene) -> None:
    scene.app.answers["/early"] = (b"HTTP/1.1 413 x\r\nContent-Length: 2\r\n\r\nno",)
    scene.app.impatient.add("/early")
    with Client(scene.plain.public) as client:
        client.send(request("/early", "Content-Length: 1000000", method="POST") + b"x" * 1000)
        response = client.read_response()
        assert (response.status, response.body) == (413, b"no")
        assert response.head.value(b"connection") == b"close"
    assert served_next(scene) is False


def test_an_upgrade_answered_with_another_protocol_is_a_502(scene: Scene) -> None:
    for upgrade in (b"h2c", b"other", b"websocket, other"):
        answer = (b"HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: %b\r\n\r\nevil" % upgrade,)
        assert ask(scene, answer, "Connection: upgrade", "Upgrade: raw").status == 502
        assert served_next(scene) is False


def test_an_upgrade_answered_with_a_200_is_a_502(scene: Scene) -> None:
    assert ask(scene, (EVIL,), "Connection: upgrade", "Upgrade: raw").status == 502
    assert served_next(scene) is False


def test_over_http2_a_304_and_a_head_keep_their_length_and_a_204_has_none(scene: Scene) -> None:
    scene.app.answers |= {
        "/304": (b"HTTP/1.1 304 x\r\nContent-Length: 1000\r\n\r\n",),
        "/204": (b"HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n",),
        "/head": (OK + b"Content-Length: 1000\r\n\r\n",),
    }
    with Client2(scene.secure.public, scene.certificate) as client:
        assert client.response(client.request("/204")).head.value(b"content-length") is None
        assert (
            client.response(client.request("/head", method=b"HEAD")).head.value(b"content-length") == b"1000"
        )
        assert (
            client.response(client.request("/304", method=b"HEAD")).head.value(b"content-length") == b"1000"
        )


def test_no_answer_has_cost_the_tunnel(scene: Scene) -> None:
    assert scene.tunnels_opened == 1


def ask(scene: Scene, answer: Answer, *lines: str, method: str = "GET") -> Response:
    """Have the app answer so, and return what its client gets."""
    scene.app.answers["/case"] = answer
    return fetch(scene.plain.public, request("/case", *lines, method=method))


def logged_error(scene: Scene, target: str) -> str:
    """Wait for the line about a request in the edge's log, and return the error in it."""

    def errors() -> list[str]:
        return [line["error"] for line in scene.plain.requests_logged() if line["path"] == target]

    scene.plain.wait_until(errors, "the request is logged")
    return errors()[0]


def served_next(scene: Scene) -> bool:
    """Assert that the next request is served well, and return whether it came on the connection of the last one."""
    last = scene.app.seen[-1]
    scene.serves()
    return scene.app.seen[-1].connection == last.connection
