"""How a `backplane` command ends: its exit code, and the one line on stderr that goes with it.

| code | name          | meaning                                                                            |
|------|---------------|------------------------------------------------------------------------------------|
| 0    | `OK`          | done, or stopped as asked                                                          |
| 1    | `FAILURE`     | it failed for a reason that has no code of its own                                 |
| 2    | `USAGE`       | an option, a variable or a file is wrong: nothing was started, nothing was sent    |
| 3    | `TRUST`       | a certificate, a key, a token or the protocol of the peer cannot be trusted        |
| 4    | `REFUSED`     | the edge refused for good: trying again without a change cannot help               |
| 5    | `UNAVAILABLE` | an address or a directory is in use; an edge or its database does not answer now   |
| 6    | `NOT_FOUND`   | there is nothing of this name                                                      |
| 7    | `DIFFERENT`   | `apply --dry-run --exit-code` would change something                               |
| 130  | `INTERRUPTED` | Ctrl-C before the command could end by itself                                      |
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["CommandError", "ExitCode"]


class ExitCode(IntEnum):
    """Exit codes of every `backplane` command; scripts may rely on them."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    TRUST = 3
    REFUSED = 4
    UNAVAILABLE = 5
    NOT_FOUND = 6
    DIFFERENT = 7
    INTERRUPTED = 130


class CommandError(Exception):
    """Ends the command with `error: <message>` on stderr and `exit_code`; raise it from anywhere below a verb."""

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, exit_code: ExitCode | None = None) -> None:
        super().__init__(message)
        if exit_code is not None:
            self.exit_code = exit_code
