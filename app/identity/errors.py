"""What can be wrong with an edge's identity.

CommandError
└── IdentityError          a file or directory is missing, damaged, too open or of another authority
    └── DirectoryLocked    another process is using the directory
"""

from __future__ import annotations

from backplane.cli.exit import CommandError, ExitCode

__all__ = ["DirectoryLocked", "IdentityError"]


class IdentityError(CommandError):
    """The identity cannot be used; the message is one line and names the file."""

    exit_code = ExitCode.TRUST


class DirectoryLocked(IdentityError):
    """Another process is using the directory."""

    exit_code = ExitCode.UNAVAILABLE
