"""The `backplane` command: what every verb shares, and the loading of verbs from installed distributions.

`exit` holds the exit codes and the error that carries one, `settings` the layers of a server's settings, `address`
the HOST:PORT of a setting, `logs` the look of the log, `process` how a server runs. Nothing here imports a server:
verbs come by entry points.
"""

from __future__ import annotations

from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the `backplane` command on the process's arguments and exit with its code."""
    # Loaded here, because the processes of a server use what is beside it and have no use for a command line.
    from .program import main

    main()
