"""Names in paths: `{name:name}` in a route, and `NameInPath` or `Identifier` as its type."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path
from starlette.convertors import StringConvertor, register_url_convertor

__all__ = ["Identifier", "NameInPath"]


class _NameConvertor(StringConvertor):
    """Takes a segment up to a colon, behind which a verb stands: `/v1/instances/web.a:drain` has no instance."""

    regex = "[^/:]+"


register_url_convertor("name", _NameConvertor())

NameInPath = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$",
        description="The name.",
        examples=["shop"],
    ),
]
Identifier = Annotated[
    str,
    Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$", description="The id.", examples=["token-1f2e3d4c"]),
]
