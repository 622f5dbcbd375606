"""ETag and If-Match: a change is made only to what its author has seen (RFC 9110, section 13)."""

from __future__ import annotations

from typing import Annotated

from fastapi import Header, Response, status

from .problem import PreconditionFailed

__all__ = ["IfMatch", "IfNoneMatch", "check_match", "check_none_match", "etag", "tag", "tag_new"]

IfMatch = Annotated[
    str | None,
    Header(
        max_length=1000,
        description="Change it only if its ETag is still one of these; without this field, whatever it is.",
    ),
]
IfNoneMatch = Annotated[
    str | None, Header(max_length=1000, description="`*`: only if there is none of this name yet.")
]


def etag(version: int) -> str:
    """Return the ETag of a version."""
    return f'"{version}"'


def tag(response: Response, version: int) -> None:
    """Say in an answer which version it shows."""
    response.headers["ETag"] = etag(version)


def tag_new(response: Response, version: int, *, path: str) -> None:
    """Say in an answer that what it shows was made just now, and where it is."""
    response.status_code = status.HTTP_201_CREATED
    response.headers["Location"] = path
    tag(response, version)


def check_match(if_match: str | None, version: int | None, *, what: str) -> None:
    """Raise PreconditionFailed unless `if_match` allows a change of this version; None is what is not there."""
    if if_match is None:
        return
    tags = [tag.strip() for tag in if_match.split(",")]
    if version is not None and ("*" in tags or etag(version) in tags):
        return
    now = "it is not there" if version is None else f"its ETag is now {etag(version)}"
    raise PreconditionFailed(f"{what} is not what If-Match asks for: {now}.")


def check_none_match(if_none_match: str | None, version: int | None, *, what: str) -> None:
    """Raise PreconditionFailed if it is there, and should not be."""
    if if_none_match is None or version is None:
        return
    tags = [tag.strip() for tag in if_none_match.split(",")]
    if "*" in tags or etag(version) in tags:
        raise PreconditionFailed(
            f"{what} is there already.", hint="Choose another name, or leave out If-None-Match."
        )
