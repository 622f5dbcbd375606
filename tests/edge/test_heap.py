from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator, Mapping

import pytest

from edge.heap import FEW, SHARE, Heap


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_a_few_routes_are_left_to_the_collector() -> None:
    heap = Heap()
    heap.grew(FEW, total=FEW, more=False)
    assert gc.get_freeze_count() == 0
    heap.grew(1, total=FEW + 1, more=False)
    assert gc.get_freeze_count() > 0


def test_one_by_one_beside_many_it_takes_a_share_of_them() -> None:
    heap = Heap()
    for _ in range(FEW * 2):
        heap.grew(1, total=FEW * 2 * SHARE, more=False)
    assert gc.get_freeze_count() == 0
    heap.grew(1, total=FEW * 2 * SHARE, more=False)
    assert gc.get_freeze_count() > 0


def test_in_the_midst_of_a_large_config_a_few_are_enough() -> None:
    heap = Heap()
    heap.grew(FEW + 1, total=0, more=True)
    assert gc.get_freeze_count() > 0


def test_a_table_is_let_go_of_piece_by_piece() -> None:
    class Route:
        pass

    async def main() -> None:
        routes = [Route() for _ in range(3)]
        left = [weakref.ref(route) for route in routes]
        pieces: list[Mapping[str, object]] = [{"r": route} for route in routes]
        del routes
        Heap().let_go(pieces)
        for alive in (2, 1, 0):
            assert sum(one() is not None for one in left) == alive
            await asyncio.sleep(0)

    asyncio.run(main())


def test_garbage_that_is_young_is_collected_first() -> None:
    gone = []

    class Knot:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            gone.append(True)

    Knot()
    Heap().grew(FEW + 1, total=0, more=True)
    assert gone
