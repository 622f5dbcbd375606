"""What every fuzz target shares: a case that can be saved, and the ways to damage and to cut bytes.

A `Case` is what one peer sends: bytes, read by read, and a variant that says to whom (a role, a state, how a gateway
behaves). That is all there is, so a failing case fits into a small file, from which it can be run again and turned
into an ordinary test.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

__all__ = ["Case", "Target", "damaged", "mostly", "reads"]

T = TypeVar("T")

SPLINTERS = (
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b" ",
    b"\t",
    b":",
    b",",
    b";",
    b"0",
    b"-1",
    b"\x80",
    b"\xff" * 4,
    b"\r\n\r\n",
)
"""What parsers tend to stumble over."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one peer sends, in the reads in which it arrives."""

    variant: str
    reads: tuple[bytes, ...]

    @property
    def data(self) -> bytes:
        """All the bytes."""
        return b"".join(self.reads)

    def save(self, path: Path, **notes: str) -> None:
        """Write the case, a byte a character, with notes on how it was found."""
        content = {**notes, "variant": self.variant, "reads": [read.decode("latin-1") for read in self.reads]}
        path.write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, path: Path) -> tuple[str, Case]:
        """Return the name of the target and the case that `save` has written."""
        content = json.loads(path.read_text())
        return content["target"], cls(
            content["variant"], tuple(r.encode("latin-1") for r in content["reads"])
        )


@dataclass(frozen=True, slots=True)
class Target:
    """Something that must stand whatever a peer sends: cases for it, and the check that a case has to pass."""

    name: str
    cases: SearchStrategy[Case]
    check: Callable[[Case], None]


def mostly(usual: Sequence[T], odd: Sequence[T], weight: int = 4) -> SearchStrategy[T]:
    """Choose one of the usual values, or once in `weight + 1` times an odd one."""
    return st.sampled_from([True] * weight + [False]).flatmap(
        lambda good: st.sampled_from(usual if good else odd)
    )


@st.composite
def damaged(draw: DrawFn, original: SearchStrategy[bytes], most: int = 2) -> bytes:
    """Change bytes in up to `most` places: overwrite, insert, leave out, repeat, or cut off the rest."""
    data = bytearray(draw(original))
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        match draw(st.sampled_from(("overwrite", "insert", "drop", "repeat", "cut"))):
            case "overwrite":
                data[start : start + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[start:start] = draw(st.sampled_from(SPLINTERS) | st.binary(min_size=1, max_size=4))
            case "drop":
                del data[start:end]
            case "repeat":
                data[start:start] = data[start:end]
            case _:
                del data[start:]
    return bytes(data)


@st.composite
def reads(draw: DrawFn, data: SearchStrategy[bytes]) -> tuple[bytes, ...]:
    """Cut bytes into reads: one, a few, or a byte each."""
    whole = draw(data)
    match draw(st.sampled_from(("one", "few", "bytes"))):
        case "few" if whole:
            cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=6)))
            parts = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
        case "bytes" if len(whole) <= 400:
            parts = [whole[at : at + 1] for at in range(len(whole))]
        case _:
            parts = [whole]
    return tuple(part for part in parts if part)
