"""Bodies of 100 MB, one after the other over one connection: how fast they pass, and what a gigabyte costs."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass

from ..cost import metered
from ..load.curl import Transfers, download, upload
from ..origin import FILES
from ..sample import Sample, Taken
from ..subject import Subject
from ..systems import Running
from ..systems.system import HOST
from .case import MEBIBYTE, Case, Pace

__all__ = ["Bulk"]

BODY = "100m"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One direction, one protocol."""

    name: str
    http2: bool
    up: bool

    def skips(self, system: str) -> bool:
        """Every system moves bytes."""
        return False

    def take(self, subject: Subject, pace: Pace) -> Taken:
        """Move a body a few times."""
        running = subject.running(tls=self.http2)
        with metered({**running.programs, "app": subject.ground.app}) as cost:
            done = self._move(subject, running, times=pace.transfers)
        faults = list(done.faults)
        if self.up:
            faults += check_sink(subject, times=pace.transfers)
        figures = {"MB/s": done.rate}
        through = [name for name in ("edge", "agent") if name in cost]
        for name in (*through, "app"):
            figures[f"{name} CPU s/GB"] = cost[name].cpu / max(done.passed, 1) * 1e9
        if through:
            figures["edge + agent CPU s/GB"] = sum(figures[f"{name} CPU s/GB"] for name in through)
        for name in through:
            figures[f"{name} peak MiB"] = cost[name].peak / MEBIBYTE
        return Taken(figures, tuple(faults))

    def _move(self, subject: Subject, running: Running, *, times: int) -> Transfers:
        url = f"{'https' if self.http2 else 'http'}://{HOST}:{running.public.port}"
        certificate = subject.ground.certificate.chain
        if self.up:
            body = subject.ground.origin.file(BODY)
            return upload(f"{url}/sink/up-", body, times=times, certificate=certificate, http2=self.http2)
        size = FILES[BODY]
        return download(f"{url}/{BODY}", size=size, times=times, certificate=certificate, http2=self.http2)


class Bulk:
    """Both directions, both protocols."""

    name = "bulk"
    title = "100 MB bodies, one connection"
    figures = ("MB/s", "edge + agent CPU s/GB", "edge peak MiB", "agent peak MiB")
    plotted = ("MB/s", "edge + agent CPU s/GB")
    rounds = 100

    def missing(self) -> str | None:
        """It needs curl."""
        return None if shutil.which("curl") else "there is no curl on the path"

    def cases(self, samples: Iterable[Sample]) -> Iterable[Case]:
        """Return the same cases every time."""
        return [
            Transfer(f"{'up' if up else 'down'}, {'HTTP/2' if http2 else 'HTTP/1.1'}", http2=http2, up=up)
            for http2 in (False, True)
            for up in (False, True)
        ]


def check_sink(subject: Subject, *, times: int) -> Iterable[str]:
    """Yield what did not arrive as it was sent, and make room."""
    for number in range(1, times + 1):
        path = subject.ground.origin.sink / f"up-{number}"
        stored = path.stat().st_size if path.exists() else 0
        if stored != FILES[BODY]:
            yield f"{stored} of {FILES[BODY]} bytes arrived"
        path.unlink(missing_ok=True)
