"""Writes the OpenAPI document of the management API: `python -m app.openapi_file FILE` (`make openapi`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from edge.explain import Explanation, Question
from edge.port import Load

from .api import create_api
from .database import Database, DatabaseUrl
from .management.context import Management
from .management.credentials import Credentials
from .state import EdgeState

__all__ = ["render"]


class _Nobody:
    """Stands where the feed and data planes would be: describing an API asks nothing of them."""

    database_error = None
    version = None

    async def advance(self, n: int) -> None:
        """Do nothing."""

    async def explain(self, question: Question) -> Explanation:
        """Explain nothing."""
        raise NotImplementedError

    async def load(self, *, agents: Iterable[str] = (), services: Iterable[str] = ()) -> Load:
        """Say nothing."""
        raise NotImplementedError


def render() -> str:
    """Return the document as text, the same on every machine."""
    nobody = _Nobody()
    management = Management(
        database=Database(DatabaseUrl.sqlite(Path())),
        credentials=Credentials(),
        state=EdgeState(),
        feed=nobody,
        planes=nobody,
    )
    document: dict[str, Any] = create_api(management).openapi()
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Write it."""
    path = Path(sys.argv[1])
    path.parent.mkdir(exist_ok=True)
    path.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
