"""Which edge a command speaks to, and with which token.

The first of these that is given decides:

1. `--context`;
2. `--api` or BACKPLANE_API_URL: the token is that of `--token-file` or BACKPLANE_API_TOKEN_FILE, of `--data-dir`, or
   of a context with this URL;
3. `--data-dir` or BACKPLANE_DATA_DIR: an edge on this machine;
4. the current context (`backplane login`, `backplane context use`);
5. the data directory `edge-data`, if there is one here.

A token file goes before the token of any of them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .exit import CommandError, ExitCode

if TYPE_CHECKING:
    from ..endpoint import Endpoint

__all__ = ["API_TOKEN_FILE_VARIABLE", "API_URL_VARIABLE", "DEFAULT_DATA_DIR", "Place", "find_endpoint"]

API_URL_VARIABLE = "BACKPLANE_API_URL"
API_TOKEN_FILE_VARIABLE = "BACKPLANE_API_TOKEN_FILE"  # noqa: S105 (the name of a variable)
DATA_DIR_VARIABLE = "BACKPLANE_DATA_DIR"
DEFAULT_DATA_DIR = Path("edge-data")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What the flags say of the edge to speak to."""

    context: str | None = None
    api: str | None = None
    token_file: Path | None = None
    data_dir: Path | None = None
    ca_file: Path | None = None

    def or_variables(self, environ: Mapping[str, str]) -> Place:
        """Return it with what variables say beside the flags."""
        if self.context is not None:
            return self
        return Place(
            api=self.api or environ.get(API_URL_VARIABLE) or None,
            token_file=self.token_file or _path(environ.get(API_TOKEN_FILE_VARIABLE)),
            data_dir=self.data_dir or (None if self.api else _path(environ.get(DATA_DIR_VARIABLE))),
            ca_file=self.ca_file,
        )


def find_endpoint(place: Place) -> Endpoint:
    """Return the edge to speak to. Raises CommandError."""
    from ..endpoint import Endpoint, read_token
    from ..errors import TokenUnusable
    from ..local import LocalAccess
    from .contexts import Context, Contexts

    given = place.or_variables(os.environ)

    def of_context(context: Context) -> Endpoint:
        token = context.token if given.token_file is None else read_token(given.token_file)
        ca_file = given.ca_file or context.ca_file
        return Endpoint(url=context.api, token=token, ca_file=ca_file, verify=context.verify)

    def of_directory(data_dir: Path, url: str | None = None) -> Endpoint:
        access = LocalAccess.read(data_dir)
        token = read_token(given.token_file or access.admin_token)
        return Endpoint(url=url or access.api, token=token, ca_file=given.ca_file or access.ca)

    try:
        if given.context is not None:
            return of_context(Contexts.load().get(given.context))
        if given.api is not None:
            url = _url(given.api)
            if given.token_file is not None:
                return Endpoint(url=url, token=read_token(given.token_file), ca_file=given.ca_file)
            if given.data_dir is not None:
                return of_directory(given.data_dir, url)
            known = [one for one in Contexts.load().contexts.values() if one.api == url]
            if known:
                return of_context(known[0])
            raise CommandError(
                f"there is no token for {url}: name its file with --token-file, or `backplane login {url}`",
                ExitCode.USAGE,
            )
        if given.data_dir is not None:
            return of_directory(given.data_dir)
        contexts = Contexts.load()
        if contexts.current is not None:
            return of_context(contexts.get(contexts.current))
        if DEFAULT_DATA_DIR.is_dir():
            return of_directory(DEFAULT_DATA_DIR)
    except TokenUnusable as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    except ValueError as error:
        raise CommandError(str(error), ExitCode.USAGE) from None
    raise CommandError(
        "which edge? There is no ./edge-data here: name the data directory of an edge on this machine with"
        " --data-dir, or `backplane login URL`",
        ExitCode.USAGE,
    )


def _url(text: str) -> str:
    return (text if "://" in text else f"http://{text}").rstrip("/")


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
