"""Slow start: an instance that has just become healthy gets its share of requests little by little.

Its `warmth` is the chance with which `edge.balance` takes it when it is drawn. It grows evenly, in steps that the
caller makes (`advance`) while there is anything to warm up: a request only compares a number. Where all are new all
are alike, and the only one there is gets everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .instance import Instance

__all__ = ["Warmup"]

FIRST = 0.1
"""Warmth to begin with."""
STEPS = 20


class Warmup:
    """The instances that are warming up."""

    def __init__(self, seconds: float) -> None:
        """Each takes `seconds`; 0: none."""
        self._seconds = seconds
        self._began: dict[Instance, float] = {}
        self._last = 0.0

    @property
    def due(self) -> float | None:
        """When `advance` is to be called next."""
        return self._last + self._seconds / STEPS if self._began else None

    def begin(self, instance: Instance, now: float) -> None:
        """Have an instance start from the bottom."""
        if self._seconds:
            if not self._began:
                self._last = now
            self._began[instance] = now
            instance.warmth = FIRST

    def advance(self, now: float) -> None:
        """Make each as warm as it should be by `now`; those that have gone are forgotten."""
        self._last = now
        for instance, began in list(self._began.items()):
            part = (now - began) / self._seconds
            if part >= 1 or not instance.listed:
                instance.warmth = 1.0
                del self._began[instance]
            else:
                instance.warmth = FIRST + (1 - FIRST) * part
