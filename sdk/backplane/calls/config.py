"""Calls for the whole configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ..call import Answer, Call, Repeat, one_of, path, preconditions
from ..errors import UnexpectedAnswer
from ..models.config import ConfigResult

__all__ = ["JSON_TYPE", "YAML_TYPE", "apply", "export", "export_text"]

JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
PATIENCE = 300.0
"""Seconds for an edge to read, or write, 100,000 routes."""


def export() -> Call[dict[str, Any]]:
    """The document, without what is as by default."""
    return _export("json", JSON_TYPE, _document)


def export_text(form: str) -> Call[str]:
    """The document as text, `yaml` or `json`."""
    return _export(form, YAML_TYPE if form == "yaml" else JSON_TYPE, _text)


def apply(
    content: Mapping[str, Any] | str | bytes, *, media_type: str, dry_run: bool, if_version: int | None
) -> Call[ConfigResult]:
    """A document that is to be the configuration."""
    text = json.dumps(content) if isinstance(content, Mapping) else content
    return Call(
        method="PUT",
        path=path("config"),
        query={"dry_run": dry_run},
        headers={"Content-Type": media_type, **preconditions(if_version=if_version)},
        body=text.encode() if isinstance(text, str) else text,
        understand=one_of(ConfigResult),
        # Once more would say that nothing was changed, and hide what was.
        repeat=Repeat.SAFELY if dry_run else Repeat.UNDONE,
        patience=PATIENCE,
    )


def _export(form: str, media_type: str, understand: Any) -> Call[Any]:
    return Call(
        method="GET",
        path=path("config"),
        query={"format": form},
        headers={"Accept": media_type},
        understand=understand,
        repeat=Repeat.SAFELY,
        patience=PATIENCE,
    )


def _document(answer: Answer) -> dict[str, Any]:
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnexpectedAnswer("the configuration is not a JSON object: this is not an edge's API")
    return found


def _text(answer: Answer) -> str:
    return answer.body.decode("utf-8", "replace")
