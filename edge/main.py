"""The program of a data-plane process, which `app.supervisor` starts beside the control process.

It loads no more than it needs: all of it is memory of the process that carries the traffic.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Serve on the leash whose descriptor is the only argument."""
    # Where rich is installed structlog loads it, for the looks of tracebacks: 4 MB that nobody will see.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    from backplane.cli.process import exit_with

    from .process import run

    exit_with(lambda: run(int(sys.argv[1])))


if __name__ == "__main__":
    main()
