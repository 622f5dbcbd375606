"""The `backplane` command: what every verb shares, and the loading of verbs from installed distributions.

`exit` holds the exit codes and the error that carries one, `settings` the layers of a server's settings, `address`
the HOST:PORT of a setting, `logs` the look of the log. Nothing here imports a server: verbs come by entry points.
"""

from __future__ import annotations

from .program import main

__all__ = ["main"]
