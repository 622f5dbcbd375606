"""What an upstream's URL says."""

from __future__ import annotations

import pytest

from agent.address import Kind, Upstream


@pytest.mark.parametrize(
    ("url", "kind", "host", "port", "authority"),
    [
        ("http://[::1]:3000/", Kind.HTTP, "::1", 3000, b"[::1]:3000"),
        ("http://app", Kind.HTTP, "app", 80, b"app"),
        ("https://app", Kind.HTTPS, "app", 443, b"app"),
        ("https://app:80", Kind.HTTPS, "app", 80, b"app:80"),
        ("h2c://127.0.0.1:50051", Kind.H2C, "127.0.0.1", 50051, b"127.0.0.1:50051"),
        ("h2c://[::1]", Kind.H2C, "::1", 80, b"[::1]"),
    ],
)
def test_upstream_is_a_kind_a_host_and_a_port(
    url: str, kind: Kind, host: str, port: int, authority: bytes
) -> None:
    upstream = Upstream(url)
    assert (upstream.kind, upstream.host, upstream.port, upstream.path) == (kind, host, port, "")
    assert upstream.authority == authority
    assert Upstream(str(upstream)).url == upstream.url


@pytest.mark.parametrize("url", ["unix:/run/app.sock", "unix:///run/app.sock"])
def test_unix_socket_has_a_path(url: str) -> None:
    upstream = Upstream(url)
    assert (upstream.kind, upstream.path, upstream.authority) == (Kind.UNIX, "/run/app.sock", b"localhost")
    assert str(upstream) == "unix:/run/app.sock"


@pytest.mark.parametrize(
    "url",
    [
        *("127.0.0.1:3000", "ftp://a", "http://", "http://a/path", "http://a?q", "http://u@a", "http://a:x"),
        *("http://a:0", "https://", "h2c://a/path", "http://b\u00fccher", "h2c:a"),
        *("unix:", "unix:app.sock", "unix:/run/", "unix:/" + "x" * 107, "unix:/a\0b", "unix://host"),
    ],
)
def test_url_that_is_no_upstream_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Upstream(url)
