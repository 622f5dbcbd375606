from __future__ import annotations

import pytest

from edge import fieldset
from edge.fieldset import check_authority, is_withheld, public_trailers
from edge.problem import Refusal

LABEL = b"a" * 63


HOSTS = [
    *(b"a", b"A.example", b"a.example.", b"a_b.example:80", b"a:", b"xn--caf-dma.example", b"127.0.0.1:8080"),
    *(b"[::1]", b"[::1]:65535", b"[::ffff:1.2.3.4]", b".".join([LABEL] * 3)),
]
NO_HOSTS = [
    *(
        b"",
        b".",
        b"a..b",
        b".a",
        b"a,b",
        b"a%00",
        b"a b",
        b"u@a",
        b"a/b",
        b"a:b",
        b"a:65536",
        b"a:1:2",
        b"caf\xe9",
    ),
    *(b"[::1", b"[::::]", b"[::1]x", b"[]", b"::1", b"a\n", b"a" * 64, b".".join([LABEL] * 4)),
]


@pytest.mark.parametrize("authority", HOSTS)
def test_a_host_with_an_optional_port_is_an_authority(authority: bytes) -> None:
    check_authority(authority)
    check_authority(authority)


@pytest.mark.parametrize("authority", NO_HOSTS)
def test_anything_else_is_refused_each_time(authority: bytes) -> None:
    for _ in range(2):
        with pytest.raises(Refusal):
            check_authority(authority)


def test_of_many_authorities_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[bytes] = set()
    monkeypatch.setattr(fieldset, "_seen", seen)
    monkeypatch.setattr(fieldset, "MAX_SEEN", 8)
    for number in range(20):
        check_authority(b"%d.example" % number)
    assert len(seen) == 8


@pytest.mark.parametrize("name", [b"h2s-control", b"h2s-", b"h2s_control", b"content_length", b"_"])
def test_names_of_the_tunnel_and_names_with_underscores_are_withheld(name: bytes) -> None:
    assert is_withheld(name)
    assert public_trailers([(name, b"x"), (b"x-sum", b"1")]) == [(b"x-sum", b"1")]


@pytest.mark.parametrize("name", [b"h2", b"h2sx", b"x-h2s-control", b"content-type"])
def test_other_names_are_not(name: bytes) -> None:
    assert not is_withheld(name)
