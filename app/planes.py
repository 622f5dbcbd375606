"""What the control process has to do with its data planes: hand configuration on, and ask them questions.

Configuration goes down whole when there is nothing to build on, and as changes from then on. A data plane says which
version it serves from; who has made a change can wait for that. What is said while there is no data plane is lost,
and that is well: one that comes is told everything.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Iterator

from edge.explain import Explanation, Question
from edge.port import (
    AskLoad,
    ChangeConfig,
    ConfigState,
    Configure,
    Disconnect,
    Explain,
    Explained,
    Load,
    PortMessage,
)
from edge.snapshot import Snapshot, SnapshotChange, parts
from h2s.messages import ConfigVersion

from .management.problem import Unavailable

__all__ = ["Planes"]

ANSWER_TIMEOUT = 5.0


class Planes:
    """The data planes of this edge; `send` goes to them, `on_notice` hears what they say."""

    def __init__(self, send: Callable[[PortMessage], None], whole: Callable[[], Snapshot]) -> None:
        """`whole` returns the configuration as it is now."""
        self._send = send
        self._whole = whole
        self._ids = itertools.count(1)
        self._questions: dict[int, asyncio.Future[PortMessage]] = {}
        self.version: ConfigVersion | None = None
        """What they serve from; None: there is none of them, as far as is known."""
        self._advanced = asyncio.Event()

    def configure(self) -> None:
        """Let them serve from the whole configuration."""
        for message in whole_in_parts(self._whole()):
            self._send(message)

    def change(self, change: SnapshotChange) -> None:
        """Let them serve from what a change makes of the configuration."""
        for part in parts(change):
            assert isinstance(part, SnapshotChange)
            self._send(ChangeConfig(change=part))

    def on_notice(self, notice: PortMessage) -> None:
        """Hear a data plane."""
        if isinstance(notice, ConfigState):
            if notice.wants_snapshot:
                self.configure()
            elif notice.version is not None:
                self.version = notice.version
                self._advanced.set()
        elif isinstance(notice, Explained | Load):
            waiting = self._questions.pop(notice.id, None)
            if waiting is not None and not waiting.done():
                waiting.set_result(notice)

    def on_gone(self) -> None:
        """There is no data plane any more."""
        self.version = None
        for waiting in self._questions.values():
            if not waiting.done():
                waiting.set_exception(_silent())

    async def in_force(self, n: int) -> None:
        """Wait until they serve from version `n` or a later one."""
        while self.version is None or self.version.n < n:
            self._advanced.clear()
            await self._advanced.wait()

    async def explain(self, question: Question) -> Explanation:
        """Ask what would become of a request. Raises Unavailable when nobody answers."""
        answer = await self._ask(lambda number: Explain(id=number, question=question))
        assert isinstance(answer, Explained)
        return answer.explanation

    async def load(self, *, agents: Iterable[str] = (), services: Iterable[str] = ()) -> Load:
        """Ask what is in flight. Raises Unavailable when nobody answers."""
        who, what = tuple(dict.fromkeys(agents)), tuple(services)
        answer = await self._ask(lambda number: AskLoad(id=number, agents=who, services=what))
        assert isinstance(answer, Load)
        return answer

    def disconnect(self, agents: Iterable[str], grace: float) -> None:
        """Close the tunnels of agents when nothing runs on them any more, or after `grace` seconds."""
        self._send(Disconnect(agents=tuple(agents), grace=grace))

    async def _ask(self, question: Callable[[int], PortMessage]) -> PortMessage:
        if self.version is None:
            raise _silent()
        number = next(self._ids)
        waiting: asyncio.Future[PortMessage] = asyncio.get_running_loop().create_future()
        self._questions[number] = waiting
        self._send(question(number))
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                return await waiting
        except TimeoutError:
            raise _silent() from None
        finally:
            self._questions.pop(number, None)


def _silent() -> Unavailable:
    return Unavailable("The data plane does not answer.", code="data_plane_unavailable")


def whole_in_parts(snapshot: Snapshot) -> Iterator[PortMessage]:
    """Return the messages that hand a whole configuration on."""
    for part in parts(snapshot):
        if isinstance(part, Snapshot):
            yield Configure(snapshot=part)
        else:
            yield ChangeConfig(change=part)
