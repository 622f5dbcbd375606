"""What applying a whole configuration changes."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from .shared import Model, Warned

__all__ = ["ConfigChange", "ConfigResult"]


class ConfigChange(Model):
    """One thing that is made, changed or deleted."""

    action: str = Field(description="`create`, `update` or `delete`.")
    kind: str = Field(description="`route`, `policy` or `setting`.")
    name: str
    before: Any = None
    after: Any = None


class ConfigResult(Model):
    """What applying a document changes, or would change."""

    dry_run: bool
    version: int = Field(description="The version of the configuration: for `if_version`.")
    changes: list[ConfigChange]
    unchanged: int
    warnings: list[Warned] = Field(default=[])
