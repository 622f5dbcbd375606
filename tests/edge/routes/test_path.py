from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.routes.path import is_plain, path_of, readings


@pytest.mark.parametrize(
    ("target", "path"), [(b"/a?b?c", b"/a"), (b"/a", b"/a"), (b"/?", b"/"), (b"*", b"/"), (b"/*", b"/*")]
)
def test_a_query_is_no_part_of_a_path(target: bytes, path: bytes) -> None:
    assert path_of(target) == path


@pytest.mark.parametrize(
    ("path", "normal", "lenient"),
    [
        (b"/a/./b/../c", b"/a/c", b"/a/c"),
        (b"/../../a", b"/a", b"/a"),
        (b"/%61%2E%2e", b"/a..", b"/a.."),
        (b"/x/%2e%2E/a", b"/a", b"/a"),
        (b"/a%2fb", b"/a%2Fb", b"/a/b"),
        (b"/a%5cb\\c", b"/a%5Cb\\c", b"/a/b/c"),
        (b"//a///b", b"//a///b", b"/a/b"),
        (b"/a;v=1/b;/c", b"/a;v=1/b;/c", b"/a/b/c"),
        (b"/x/..;/a", b"/x/..;/a", b"/a"),
        (b"/%252e", b"/%252e", b"/%252e"),
        (b"/a%20%c3%a9", b"/a%20%C3%A9", b"/a%20%C3%A9"),
        (b"/%", b"/%", b"/%25"),
        (b"/a/", b"/a/", b"/a"),
    ],
)
def test_what_else_a_path_may_be(path: bytes, normal: bytes, lenient: bytes) -> None:
    assert readings(path) == (normal, lenient)


@given(st.binary(max_size=40).map(lambda rest: b"/" + rest))
def test_any_bytes_have_readings_and_a_plain_path_has_one(path: bytes) -> None:
    normal, lenient = readings(path)
    assert normal.startswith(b"/")
    assert is_plain(lenient) or b"%" in lenient or b"/." in lenient
    if is_plain(path):
        assert normal == path
        assert lenient == (path if path == b"/" else path.rstrip(b"/"))
