"""What of a request's head reaches the app, and what a client cannot say in the edge's name; one row a case."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .client import fetch, request
from .client2 import Client2, StreamCut
from .rawapp import Scene, Seen

pytestmark = pytest.mark.e2e

EDGE_SETS = {
    b"x-forwarded-for": b"127.0.0.1",
    b"x-forwarded-host": b"web.localhost",
    b"x-forwarded-proto": b"http",
    b"forwarded": b'for=127.0.0.1;host="web.localhost";proto=http',
}
NONCE = "h2s-control: " + "00" * 16


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """One set of programs for all rows."""
    with Scene.at(tmp_path_factory.mktemp("fields")) as scene:
        yield scene


def seen(scene: Scene, *lines: str, target: str = "/", host: str = "web.localhost") -> Seen:
    """Send a request of HTTP/1.1 and return what the app saw of it."""
    before = len(scene.app.seen)
    assert fetch(scene.plain.public, request(target, *lines, host=host)).status == 200
    [one] = scene.app.seen[before:]
    return one


def names(one: Seen) -> set[bytes]:
    """Return the names of a request's fields."""
    return {line.partition(b":")[0] for line in one.lines[1:]}


# -- the target (RFC 9112 §3.2.2) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "host"),
    [
        ("http://web.localhost/a?b", b"/a?b", b"web.localhost"),
        ("HTTP://Web.Localhost:99/a", b"/a", b"Web.Localhost:99"),
        ("https://web.localhost", b"/", b"web.localhost"),
        ("http://web.localhost?b", b"/?b", b"web.localhost"),
        ("http://[::1]:8080/a", b"/a", b"[::1]:8080"),
        ("//web.localhost/a", b"//web.localhost/a", b"other.example"),
        ("/http://web.localhost/a", b"/http://web.localhost/a", b"other.example"),
    ],
)
def test_the_host_of_an_absolute_target_replaces_the_field(
    scene: Scene, target: str, path: bytes, host: bytes
) -> None:
    one = seen(scene, target=target, host="other.example")
    assert one.lines[0] == b"GET %b HTTP/1.1" % path
    assert one.values(b"host") == [host]
    assert one.values(b"x-forwarded-host") == [host]


# -- what stays behind ---------------------------------------------------------------------------------------------

STAY_BEHIND = {
    "keep-alive": ["Keep-Alive: timeout=5"],
    "proxy": ["Proxy-Connection: close", "Proxy-Authorization: Basic eA==", "Proxy-Authenticate: Basic"],
    "listed": ["Connection: X-Private, x-other", "X-Private: 1", "X-Other: 2"],
    "listed twice": ["Connection: x-private", "Connection: keep-alive", "X-Private: 1"],
    "TE": ["TE: gzip, deflate;q=0.5"],
    "h2c": [
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA",
    ],
    "h2c in other letters": ["Connection: upgrade", "Upgrade: H2C", "HTTP2-Settings: AAMAAABk"],
    "h2c unlisted": ["Upgrade: h2c", "HTTP2-Settings: AAMAAABk"],
    "an upgrade that Connection does not list": ["Upgrade: websocket"],
    "an upgrade to TLS": ["Connection: upgrade", "Upgrade: TLS/1.3"],
    "an upgrade to HTTP/2": ["Connection: upgrade", "Upgrade: HTTP/2.0, h2c/1"],
    "upgrades that are none": ["Connection: upgrade", 'Upgrade: a b, "c", \xe9, d;e'],
    "underscores": [
        "X_Under: 1",
        "Content_Length: 9",
        "Transfer_Encoding: chunked",
        "_: 1",
        "X_Forwarded_For: 6.6.6.6",
    ],
    "h2s-control": [NONCE],
    "h2s-control in other letters": ["H2S-Control: 00", "h2s-CONTROL: 00"],
    "h2s-control with underscores": ["h2s_control: 00", "H2S_SERVICE: other"],
    "h2s-control listed": ["Connection: h2s-control", NONCE],
    "all that is internal": [
        "h2s-service: other",
        "h2s-error: upstream-refused",
        "h2s-error-detail: x",
        "h2s-: x",
    ],
}


@pytest.mark.parametrize("lines", STAY_BEHIND.values(), ids=STAY_BEHIND)
def test_what_is_not_for_the_app_stays_behind(scene: Scene, lines: list[str]) -> None:
    one = seen(scene, *lines)
    assert names(one) == {b"host", *EDGE_SETS, b"x-request-id"}
    assert not one.values(b"upgrade")


@pytest.mark.parametrize(
    "line",
    [
        "X-Forwarded-For: 6.6.6.6",
        "X-Forwarded-Proto: gopher",
        "X-Forwarded-Host: evil",
        "Forwarded: for=6.6.6.6",
    ],
)
@pytest.mark.parametrize(
    "twist", [str, str.upper, lambda line: line.replace("-", "_"), lambda line: f"{line}\r\n{line}"]
)
def test_a_client_cannot_speak_in_the_edges_name(scene: Scene, line: str, twist: object) -> None:
    assert callable(twist)
    one = seen(scene, twist(line))
    assert {name: one.values(name) for name in EDGE_SETS} == {
        name: [value] for name, value in EDGE_SETS.items()
    }
    assert names(one) == {b"host", *EDGE_SETS, b"x-request-id"}


@pytest.mark.parametrize("name", ["X-Real-IP", "X-Forwarded-Port", "X-Forwarded-User", "X-Forwarded"])
def test_what_apps_take_for_the_word_of_a_proxy_is_deleted(scene: Scene, name: str) -> None:
    assert name.lower().encode() not in names(seen(scene, f"{name}: 6.6.6.6"))


LISTED = ["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Request-Id", "Host"]


@pytest.mark.parametrize("options", [*LISTED, ", ".join(LISTED), "close, " + ",".join(LISTED).lower()])
def test_listing_in_connection_strips_nothing_that_the_edge_sets(scene: Scene, options: str) -> None:
    one = seen(scene, f"Connection: {options}", "X-Forwarded-For: 6.6.6.6")
    assert {name: one.values(name) for name in EDGE_SETS} == {
        name: [value] for name, value in EDGE_SETS.items()
    }
    assert one.values(b"host") == [b"web.localhost"]
    assert len(one.values(b"x-request-id")) == 1


def test_listing_framing_in_connection_changes_no_framing(scene: Scene) -> None:
    before, bodies = len(scene.app.seen), len(scene.app.bodies)
    lines = ("Connection: Content-Length, Transfer-Encoding, Expect",)
    assert fetch(scene.plain.public, request("/", *lines, method="POST", body=b"hello")).status == 200
    assert scene.app.seen[before].values(b"content-length") == [b"5"]
    assert scene.app.bodies[bodies:] == b"hello"


def test_a_client_that_lists_its_own_cookie_loses_its_own_cookie_only(scene: Scene) -> None:
    one = seen(scene, "Connection: Cookie", "Cookie: a=1", "X-Kept: 1")
    assert b"cookie" not in names(one)
    assert one.values(b"x-kept") == [b"1"]


# -- trailers ------------------------------------------------------------------------------------------------------

FORGED = [
    "h2s-control: 00",
    "h2s_control: 00",
    "X-Forwarded-For: 6.6.6.6",
    "Forwarded: for=6.6.6.6",
    "Host: evil",
]
FORGED += [
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Authorization: Basic eA==",
    "Cookie: a=1",
    "X_Y: 1",
]


@pytest.mark.parametrize("line", FORGED)
def test_a_trailer_section_says_nothing_that_a_head_may_not(scene: Scene, line: str) -> None:
    before, bodies = len(scene.app.seen), len(scene.app.bodies)
    octets = request("/", "Transfer-Encoding: chunked", method="POST")
    fetch(scene.plain.public, octets + b"1\r\nx\r\n0\r\n%b\r\nX-Sum: 1\r\n\r\n" % line.encode())
    scene.serves()
    assert len(scene.app.seen) == before + 2
    assert scene.app.bodies[bodies:].split(b"0\r\n", 1)[1] == b"x-sum: 1\r\n\r\n"


# -- HTTP/2 --------------------------------------------------------------------------------------------------------

PSEUDO = {b":method": b"GET", b":scheme": b"https", b":authority": b"web.localhost", b":path": b"/"}
Headers = list[tuple[bytes, bytes]]


def head2(*fields: tuple[bytes, bytes], **changed: bytes) -> Headers:
    """Return a head with these pseudo-fields changed (`path=b"/x"`) and fields added."""
    return [*(PSEUDO | {b":" + name.encode(): value for name, value in changed.items()}).items(), *fields]


CONTROL = (b"h2s-control", b"00" * 16)
PASSING2 = {
    "h2s-control": head2(CONTROL),
    "h2s-control twice": head2(CONTROL, CONTROL),
    "h2s-control and a control path": head2(CONTROL, path=b"/h2s.v1.Control/Sync", method=b"POST"),
    "path": head2(path=b"/?h2s-control:%2000%0d%0ah2s-control:%2000"),
    "underscores": head2((b"x_under", b"1"), (b"h2s_control", b"00"), (b"content_length", b"9")),
    "a name of the edge's": head2((b"x-forwarded-for", b"6.6.6.6"), (b"forwarded", b"for=6.6.6.6")),
}
REFUSED2 = {
    "a line break in a value": head2((b"x-a", b"b\r\nh2s-control: 00")),
    "a line break in a path": head2(path=b"/ HTTP/1.1\r\nh2s-control: 00"),
    "a line break in a method": head2(method=b"GET / HTTP/1.1\r\nh2s-control: 00\r\nx:"),
    "a line break in an authority": head2(authority=b"web.localhost\r\nh2s-control: 00"),
    "a line break in a scheme": head2(scheme=b"https\r\nh2s-control: 00"),
    "a line break in a name": head2((b"x\r\nh2s-control", b"00")),
    "upper case": head2((b"H2S-Control", b"00")),
    "NUL in a name": head2((b"h2s-control\x00", b"00")),
    "a space behind a name": head2((b"h2s-control ", b"00")),
    "a colon before a name": head2((b":h2s-control", b"00")),
    "connection": head2((b"connection", b"x-forwarded-for")),
    "transfer-encoding": head2((b"transfer-encoding", b"chunked")),
    "upgrade": head2((b"upgrade", b"h2c")),
    "two lengths": head2((b"content-length", b"1"), (b"content-length", b"2"), method=b"POST"),
    "another host": head2((b"host", b"other.example")),
    "an authority that is no host": head2(authority=b"web.localhost/x"),
    "an authority with a user": head2(authority=b"h2s-control@web.localhost"),
    "h2s-control and another scheme": head2(CONTROL, scheme=b"h2s"),
    "h2s-control in the scheme": head2(scheme=b"h2s-control"),
    "h2c by extended CONNECT": head2((b":protocol", b"h2c"), method=b"CONNECT"),
    "plain CONNECT": [(b":method", b"CONNECT"), (b":authority", b"web.localhost:443")],
}


def ask2(scene: Scene, head: Headers, *trailers: tuple[bytes, bytes]) -> int:
    """Send any head over HTTP/2; return the status, or 0 for a stream that was reset."""
    with Client2(scene.secure.public, scene.certificate) as client:
        config = client._h2.config
        config.validate_outbound_headers = config.normalize_outbound_headers = False
        stream = client._h2.get_next_available_stream_id()
        client._h2.send_headers(stream, head, end_stream=not trailers)
        if trailers:
            client._h2.send_headers(stream, trailers, end_stream=True)
        client._flush()
        try:
            return client.response(stream).status
        except StreamCut:
            return 0


@pytest.mark.parametrize("head", PASSING2.values(), ids=PASSING2)
def test_forged_fields_of_http2_stay_behind(scene: Scene, head: Headers) -> None:
    before = len(scene.app.seen)
    assert ask2(scene, head) == 200
    [one] = scene.app.seen[before:]
    assert names(one) - {b"content-length"} == {b"host", *EDGE_SETS, b"x-request-id"}
    assert one.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert one.values(b"x-forwarded-proto") == [b"https"]


@pytest.mark.parametrize("head", REFUSED2.values(), ids=REFUSED2)
def test_heads_of_http2_that_could_become_two_are_refused(scene: Scene, head: Headers) -> None:
    before = len(scene.app.seen)
    assert ask2(scene, head) in (0, 400, 405, 501)
    scene.serves()
    assert scene.requests_since(before) == [b"GET /good HTTP/1.1"]


def test_forged_trailers_of_http2_stay_behind(scene: Scene) -> None:
    bodies = len(scene.app.bodies)
    assert ask2(scene, head2(method=b"POST"), CONTROL, (b"x_y", b"1"), (b"x-sum", b"1")) == 200
    assert scene.app.bodies[bodies:] == b"0\r\nx-sum: 1\r\n\r\n"


def test_no_forgery_has_cost_a_tunnel(scene: Scene) -> None:
    assert scene.tunnels_opened == 1
