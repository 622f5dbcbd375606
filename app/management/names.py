"""Names in paths."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path

__all__ = ["Identifier", "NameInPath"]

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
