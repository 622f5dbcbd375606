"""The command line that brings an agent up against this edge, ready to be copied."""

from __future__ import annotations

import shlex
from pathlib import Path

from backplane.cli.address import Address

__all__ = ["agent_command_line"]

EXAMPLE_SERVICE = "web=http://127.0.0.1:3000"


def agent_command_line(advertise: Address, token_file: Path, *, service: str = EXAMPLE_SERVICE) -> str:
    """Return `backplane agent ...` with its arguments quoted for a shell."""
    return shlex.join(
        [
            "backplane",
            "agent",
            "--edge",
            str(advertise),
            "--token-file",
            str(token_file),
            "--service",
            service,
        ]
    )
