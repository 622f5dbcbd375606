"""Variables that look like ours and are not: `BACKPLANE_TUNELS` would be ignored without a word.

A distribution declares its variables with entry points of the group `backplane.variables`: each is a `Settings` model,
whose keys are variables, or the name of one variable. Edge and agent may share an environment, so what one knows is no
stranger to the other. A stranger is a warning and no error: the environment is not ours alone.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping
from importlib.metadata import entry_points
from typing import Any

import structlog

from .settings import CONFIG_VARIABLE, PREFIX, Settings, variable_name

__all__ = ["VARIABLES_GROUP", "strange_variables", "warn_of_strangers"]

VARIABLES_GROUP = "backplane.variables"
"""Entry points of this group say which variables there are."""


log: Any = structlog.get_logger("settings")


def warn_of_strangers(model: type[Settings]) -> None:
    """Log a warning for each variable that nobody reads."""
    for name, nearest in strange_variables(model).items():
        hint = {"did_you_mean": nearest} if nearest else {}
        log.warning("a variable that does not exist is set", variable=name, **hint)


def strange_variables(
    model: type[Settings], environ: Mapping[str, str] | None = None
) -> dict[str, str | None]:
    """Return the variables that begin like ours and that nobody reads, each with the nearest real one.

    `model` is what the running program reads; what others read is only looked up if that leaves any.
    """
    variables = os.environ if environ is None else environ
    given = {name for name, text in variables.items() if name.startswith(PREFIX) and text.strip()}
    known = {CONFIG_VARIABLE, *map(variable_name, model.model_fields)}
    if given - known:
        known |= set(_declared())
    return {name: _nearest(name, known) for name in sorted(given - known)}


def _declared() -> Iterator[str]:
    for entry in entry_points(group=VARIABLES_GROUP):
        try:
            declared = entry.load()
        except (ImportError, AttributeError):
            continue
        if isinstance(declared, str):
            yield declared
        else:
            yield from map(variable_name, declared.model_fields)


def _nearest(name: str, known: set[str]) -> str | None:
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.8)
    return close[0] if close else None
