"""Nothing between client and application."""

from __future__ import annotations

import subprocess

from ..origin import find_nginx
from .system import Running, Site

__all__ = ["Direct"]


class Direct:
    """What the machine, the clients and nginx can do."""

    name = "direct"

    def version(self) -> str:
        """Return nginx's version."""
        nginx = find_nginx()
        assert nginx is not None
        done = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True)
        return done.stderr.rpartition("/")[2].strip()

    def missing(self) -> str | None:
        """Nothing is missing: without nginx there is no bench."""
        return None

    def start(self, site: Site) -> Running:
        """Give the application's own address."""
        return Running(public=site.origin.address(tls=site.tls), tls=site.tls, programs={})
