"""What went wrong with an edge, as one line that says what to do, and an exit code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .exit import CommandError, ExitCode

__all__ = ["edge_errors"]

MAX_FIELDS = 5
"""Fields that are named."""


@contextmanager
def edge_errors() -> Iterator[None]:
    """Turn the SDK's errors into a command's."""
    from .. import errors

    try:
        yield
    except errors.EdgeUntrusted as error:
        way_out = (
            "use a name that its certificate has"
            if "mismatch" in str(error)
            else "name its CA with --ca-file"
        )
        raise CommandError(f"{error}: {way_out}", ExitCode.TRUST) from None
    except errors.EdgeUnreachable as error:
        raise CommandError(f"no answer from {error}: is the edge running?", ExitCode.UNAVAILABLE) from None
    except errors.TokenUnusable as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except errors.ApiError as error:
        raise CommandError(_sentence(error), _code(error)) from None
    except errors.BackplaneError as error:
        raise CommandError(str(error)) from None
    except ValueError as error:  # of an argument that no edge could be asked about, such as an empty name
        raise CommandError(" ".join(str(error).split()), ExitCode.USAGE) from None


def _code(error: Exception) -> ExitCode:
    from .. import errors

    if isinstance(error, errors.NotFound):
        return ExitCode.NOT_FOUND
    if isinstance(error, errors.Unavailable | errors.RateLimited):
        return ExitCode.UNAVAILABLE
    return ExitCode.FAILURE if isinstance(error, errors.ServerError) else ExitCode.REFUSED


def _sentence(error: Exception) -> str:
    from .. import errors

    assert isinstance(error, errors.ApiError)
    if error.fields:
        named = [
            f"{one.field}: {one.detail}" if one.field else one.detail for one in error.fields[:MAX_FIELDS]
        ]
        more = len(error.fields) - len(named)
        text = "; ".join(named) + (f" (and {more} more)" if more else "")
        if error.code != "invalid":
            text = f"{error.detail} {error.hint or ''}"
    elif isinstance(error, errors.Unauthorized):
        text = f"{error.detail} Log in again (`backplane login URL`), or name a token with --token-file."
    else:
        text = f"{error.detail} {error.hint or ''}"
    if isinstance(error, errors.ServerError) and error.request_id:
        text += f" (request {error.request_id})"
    return " ".join(text.split())
