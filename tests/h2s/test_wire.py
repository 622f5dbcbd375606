"""The numbers of h2s on the wire, byte by byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.wire import (
    SETTINGS_H2S,
    SWAP,
    VersionRange,
    agree,
    frame_header,
    pack_versions,
    parse_frame_header,
    swap_frame,
    unpack_versions,
)

numbers = st.integers(0, 0xFFFF)


def test_ids_lie_in_the_experimental_ranges() -> None:
    assert 0xF000 <= SETTINGS_H2S <= 0xFFFF
    assert 0xF0 <= SWAP <= 0xFF


def test_swap_frame_is_thirteen_fixed_bytes() -> None:
    assert swap_frame(1) == bytes.fromhex("000004 f5 00 00000000 00000001")


def test_versions_are_packed_lowest_first() -> None:
    assert pack_versions((1, 1)) == 0x0001_0001
    assert pack_versions((2, 0x10)) == 0x0002_0010


@given(low=numbers, high=numbers)
def test_packed_versions_come_back(low: int, high: int) -> None:
    assert unpack_versions(pack_versions((low, high))) == (low, high)


@given(
    length=st.integers(0, 2**24 - 1),
    kind=st.integers(0, 255),
    flags=st.integers(0, 255),
    stream_id=st.integers(0, 2**31 - 1),
)
def test_frame_headers_come_back(length: int, kind: int, flags: int, stream_id: int) -> None:
    header = frame_header(length, kind, flags, stream_id)
    assert len(header) == 9
    assert parse_frame_header(header) == (length, kind, flags, stream_id)


def test_reserved_bit_of_a_stream_id_is_ignored() -> None:
    assert parse_frame_header(bytes.fromhex("000000 00 00 80000001"))[3] == 1


@pytest.mark.parametrize(
    ("ours", "theirs", "version"),
    [
        ((1, 1), (1, 1), 1),
        ((1, 3), (1, 2), 2),
        ((2, 3), (1, 2), 2),
        ((1, 1), (2, 3), None),
        ((1, 1), (0, 0), None),
        ((1, 1), (5, 1), None),
    ],
)
def test_the_lower_of_the_highest_versions_wins(
    ours: VersionRange, theirs: VersionRange, version: int | None
) -> None:
    assert agree(ours, theirs) == version


@given(ours=st.tuples(numbers, numbers), theirs=st.tuples(numbers, numbers))
def test_both_sides_agree_on_the_same_version(ours: VersionRange, theirs: VersionRange) -> None:
    version = agree(ours, theirs)
    assert version == agree(theirs, ours)
    if version is not None:
        assert ours[0] <= version <= ours[1]
        assert theirs[0] <= version <= theirs[1]
