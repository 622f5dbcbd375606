"""An immutable map that is cheap to change: a copy shares all of it but the few parts that are touched.

The table of a hundred thousand hosts is replaced with every change, and most changes touch one. So keys are spread
over many small dicts; an edit copies those it writes to, once, and shares the others with the map it came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

__all__ = ["Shards", "ShardsEdit"]

V = TypeVar("V")

COUNT = 1024
"""Shards: a hundred keys in each at 100,000."""
_MASK = COUNT - 1


class Shards(Generic[V]):
    """A map from texts; never changes."""

    __slots__ = ("_shards", "size")

    def __init__(self, shards: tuple[dict[str, V], ...] | None = None, size: int = 0) -> None:
        self._shards = shards or ({},) * COUNT
        self.size = size

    def get(self, key: str) -> V | None:
        """Return the value of `key`, or None."""
        return self._shards[hash(key) & _MASK].get(key)

    def __iter__(self) -> Iterator[V]:
        for shard in self._shards:
            yield from shard.values()

    @property
    def pieces(self) -> Sequence[Mapping[str, V]]:
        """The small dicts it is made of, to be let go of one by one."""
        return self._shards

    def edit(self) -> ShardsEdit[V]:
        """Return an edit that starts as this map is."""
        return ShardsEdit(self._shards, self.size)


class ShardsEdit(Generic[V]):
    """A map being changed, seen by nobody else."""

    __slots__ = ("_owned", "_shards", "size")

    def __init__(self, shards: tuple[dict[str, V], ...], size: int) -> None:
        self._shards = list(shards)
        self._owned: set[int] = set()
        self.size = size

    def get(self, key: str) -> V | None:
        """Return the value of `key` as it is now, or None."""
        return self._shards[hash(key) & _MASK].get(key)

    def set(self, key: str, value: V) -> None:
        """Give `key` a value."""
        shard = self._own(key)
        self.size += key not in shard
        shard[key] = value

    def remove(self, key: str) -> V | None:
        """Take `key` out and return what it had, or None."""
        if self.get(key) is None:
            return None
        self.size -= 1
        return self._own(key).pop(key)

    def finish(self) -> Shards[V]:
        """Return the map; the edit is over."""
        return Shards(tuple(self._shards), self.size)

    def _own(self, key: str) -> dict[str, V]:
        index = hash(key) & _MASK
        if index not in self._owned:
            self._owned.add(index)
            self._shards[index] = dict(self._shards[index])
        return self._shards[index]
