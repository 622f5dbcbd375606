"""How busy the machine is, as far as the system says: a hint for those who scale or look, never needed for serving.

CPU is a share of the time since the last look. In a container with limits (cgroup v2) shares are of these limits, else
of the machine. What a system does not tell stays None.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from h2s.messages import Load, Report

__all__ = ["LoadMeter", "is_noticeable"]

PROC = Path("/proc")
CGROUP = Path("/sys/fs/cgroup")
NOTICEABLE = 0.05
"""A difference of a share that is worth a report."""


class LoadMeter:
    """Looks at the machine and at this process."""

    def __init__(self, *, proc: Path = PROC, cgroup: Path = CGROUP) -> None:
        self._proc = proc
        self._cgroup = cgroup
        self._pages = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096
        self._at = time.monotonic()
        self._own = time.process_time()
        self._used, self._available = self._cpu()

    def look(self) -> Load:
        """Return the load since the last look, or since this was made."""
        now, own = time.monotonic(), time.process_time()
        elapsed = max(now - self._at, 1e-3)
        used, available = self._cpu()
        cpu: float | None = None
        if used is not None and self._used is not None:
            if available is None or self._available is None:
                cpu = (used - self._used) / (elapsed * (os.cpu_count() or 1))
            elif available > self._available:
                cpu = (used - self._used) / (available - self._available)
            else:
                cpu = 0.0
        load = Load(
            cpu=None if cpu is None else _share(cpu),
            memory=self._memory(),
            agent_cpu=round(max(own - self._own, 0.0) / elapsed, 4),
            agent_memory=self._resident(),
        )
        self._at, self._own, self._used, self._available = now, own, used, available
        return load

    def _cpu(self) -> tuple[float | None, float | None]:
        """Return how much CPU time was used so far and how much there was, in seconds of a kind."""
        quota = self._quota()
        if quota is not None:
            for line in _read(self._cgroup / "cpu.stat").splitlines():
                if line.startswith("usage_usec "):
                    return int(line.split()[1]) / 1e6, time.monotonic() * quota
        words = _read(self._proc / "stat").partition("\n")[0].split()
        if len(words) < 6 or words[0] != "cpu":
            return None, None
        ticks = [int(word) for word in words[1:9]]
        idle = ticks[3] + ticks[4]
        return float(sum(ticks) - idle), float(sum(ticks))

    def _quota(self) -> float | None:
        """Return how many cores the container may use, if that is limited."""
        words = _read(self._cgroup / "cpu.max").split()
        if len(words) != 2 or words[0] == "max":
            return None
        return int(words[0]) / int(words[1])

    def _memory(self) -> float | None:
        limit = _read(self._cgroup / "memory.max").strip()
        current = _read(self._cgroup / "memory.current").strip()
        if limit.isdigit() and current.isdigit() and int(limit):
            return _share(int(current) / int(limit))
        sizes: dict[str, int] = {}
        for line in _read(self._proc / "meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name in ("MemTotal", "MemAvailable"):
                sizes[name] = int(rest.split()[0])
        if len(sizes) < 2 or not sizes["MemTotal"]:
            return None
        return _share(1 - sizes["MemAvailable"] / sizes["MemTotal"])

    def _resident(self) -> int | None:
        words = _read(self._proc / "self" / "statm").split()
        return int(words[1]) * self._pages if len(words) > 1 else None


def is_noticeable(before: Report, after: Report) -> bool:
    """Say whether the difference between two reports is worth sending the second for."""
    if before.instances != after.instances:
        return True
    old, new = before.load or Load(), after.load or Load()
    return any(
        (one is None) != (other is None) or abs((one or 0.0) - (other or 0.0)) >= NOTICEABLE
        for one, other in ((old.cpu, new.cpu), (old.memory, new.memory))
    )


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", errors="replace")
    except OSError:
        return ""


def _share(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), 3)
