"""What the bench knows of a system: whether it can be measured here, how to start it, and how to reach it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.e2e.address import Address
from tests.e2e.certificate import Certificate
from tests.e2e.programs import Program
from tests.e2e.stage import Stage

from ..origin import Origin

__all__ = ["HOST", "TUNNELS", "Running", "Site", "System"]

HOST = "web.localhost"
"""What clients ask for."""
TUNNELS = 2
"""Connections between edge and agent."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where a system is put up."""

    stage: Stage
    origin: Origin
    certificate: Certificate
    tls: bool
    """Whether the public side is TLS with HTTP/1.1 and HTTP/2, or clear HTTP/1.1."""
    name: str
    """Tells apart what several systems leave on the stage."""

    def file(self, name: str) -> Path:
        """Return the path of a file of this system's own."""
        folder = self.stage.folder / self.name
        folder.mkdir(exist_ok=True)
        return folder / name


@dataclass(frozen=True, slots=True)
class Running:
    """A system that has been started."""

    public: Address
    tls: bool
    programs: Mapping[str, Program]
    """`edge` and `agent`, if there are any between client and application."""

    def url(self, path: str = "/") -> str:
        """Return the URL of a path at the public side."""
        return f"{'https' if self.tls else 'http'}://{self.public}{path}"

    def stop(self) -> None:
        """End its programs."""
        for program in self.programs.values():
            program.terminate()
        for program in self.programs.values():
            program.exit_code()


class System(Protocol):
    """A way from the public to the application."""

    @property
    def name(self) -> str:
        """What it is called in the results."""

    def version(self) -> str:
        """Return which version is measured."""

    def missing(self) -> str | None:
        """Return why it cannot be measured here, or None."""

    def start(self, site: Site) -> Running:
        """Start it and wait until it serves."""
