"""Field lines: the same answers from both implementations, and none that HTTP/2 would not take."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP, unsendable
from h2s.http1 import MalformedMessage
from h2s.http1.lines import Join, Split, portable_join_fields, portable_split_fields

SPLITS: dict[str, Split] = {"portable": portable_split_fields}
JOINS: dict[str, Join] = {"portable": portable_join_fields}
with suppress(ImportError):
    from h2s.http1 import native

    SPLITS["native"] = native.split_fields
    JOINS["native"] = native.join_fields
both = pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
both_join = pytest.mark.parametrize("join", JOINS.values(), ids=JOINS)


def answer(split: Split, section: bytes) -> Fields | tuple[str, bytes]:
    try:
        return split(section, 0, len(section))
    except MalformedMessage as error:
        return str(error), error.field


@both
def test_names_are_lowered_and_values_trimmed(split: Split) -> None:
    section = b"Host: x\r\nX-Long-Name-That-Nobody-Has-Heard-Of-Before: \t a b\t \r\nempty:\r\nA:\xff\r\n"
    assert split(section, 0, len(section)) == [
        (b"host", b"x"),
        (b"x-long-name-that-nobody-has-heard-of-before", b"a b"),
        (b"empty", b""),
        (b"a", b"\xff"),
    ]


@both
def test_only_the_given_part_is_read(split: Split) -> None:
    data = b"GET / HTTP/1.1\r\nA: b\r\n\r\nC: d\r\n"
    assert split(data, 16, 22) == [(b"a", b"b")]
    assert split(data, 22, 22) == []


@both
@pytest.mark.parametrize(
    ("line", "field"),
    [
        (b"A : b\r\n", b""),
        (b" folded\r\n", b""),
        (b": b\r\n", b""),
        (b"no colon\r\n", b""),
        (b"A", b""),
        (b"N\x00ame: b\r\n", b""),
        (b"N\xe4me: b\r\n", b""),
        (b"A: b\n", b"a"),
        (b"A: b\rc\r\n", b"a"),
        (b"A: b\x00\r\n", b"a"),
        (b"Secret: b\x7f\r\n", b"secret"),
        (b"A: b\r", b"a"),
        (b"A: b", b"a"),
        (b"A:", b"a"),
    ],
)
def test_what_is_no_field_line_is_refused_and_a_value_at_fault_has_its_field_named(
    split: Split, line: bytes, field: bytes
) -> None:
    with pytest.raises(MalformedMessage) as caught:
        split(b"Ok: 1\r\n" + line, 0, 7 + len(line))
    assert caught.value.field == field


@both
@pytest.mark.parametrize(("at", "end"), [(-1, 2), (0, 9)])
def test_a_part_beyond_the_data_is_never_read(split: Split, at: int, end: int) -> None:
    try:
        fields = split(b"A: b\r\n", at, end)
    except (MalformedMessage, ValueError):
        return
    assert fields == [(b"a", b"b")]


RULED = HOP_BY_HOP | {b"te", b"host", b"content-length"}
"""Fields that have rules of their own in HTTP/2, which are not about octets."""
OCTETS = st.lists(
    st.sampled_from(
        [b"A", b"host", b"Host", b":", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\x00", b"\x80", b"(", b"_"]
    )
).map(b"".join)


@pytest.mark.skipif(len(SPLITS) < 2, reason="the native one is not built: no C compiler")
@given(OCTETS | st.binary(max_size=60))
def test_both_implementations_answer_alike(section: bytes) -> None:
    portable, made = (answer(split, section) for split in SPLITS.values())
    assert made == portable
    if isinstance(made, list):
        assert unsendable([field for field in made if field[0] not in RULED]) is None


@both_join
def test_fields_are_joined_as_they_are(join: Join) -> None:
    assert join([(b"a", b"b"), (b"c", b"")]) == b"a: b\r\nc: \r\n"
    assert join([]) == b""


@both_join
@pytest.mark.parametrize("field", [(b"a", b"b\r\nc: d"), (b"a", b"\n"), (b"a\r", b"b"), (b"a\n", b"b")])
def test_a_field_that_would_break_out_of_its_line_is_refused(join: Join, field: tuple[bytes, bytes]) -> None:
    with pytest.raises(MalformedMessage):
        join([(b"x", b"y"), field])


@given(OCTETS)
def test_what_was_split_can_be_joined_and_split_again(section: bytes) -> None:
    for split, join in zip(SPLITS.values(), JOINS.values(), strict=True):
        fields = answer(split, section)
        if isinstance(fields, list):
            joined = join(fields)
            assert split(joined, 0, len(joined)) == fields
