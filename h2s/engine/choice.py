"""Which engine a process uses: the native one where it loads, unless BACKPLANE_H2_ENGINE says otherwise.

The choice is made once, when it is first asked for, and holds for the process.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import cast

from ..errors import EngineUnavailable
from .session import Limits, Role, Session

__all__ = [
    "ENGINE_VARIABLE",
    "ENGINES",
    "HEADERS_HINT",
    "create_session",
    "engine_hint",
    "engine_name",
    "load",
]

ENGINE_VARIABLE = "BACKPLANE_H2_ENGINE"
"""Names the engine to use, which must then load."""
ENGINES = {"native": "NativeSession", "portable": "PortableSession"}
"""The engines by their names, which are those of their modules; the fastest comes first."""
HEADERS_HINT = "apt-get install gcc python3-dev libnghttp2-dev"
"""What provides all that the native engine is built from, on Debian."""

Factory = Callable[[Role, Limits], Session]


def load(name: str) -> Factory:
    """Return the sessions of the engine of that name. Raises ImportError."""
    return cast(Factory, getattr(import_module(f".{name}", __package__), ENGINES[name]))


def choose(wanted: str | None) -> tuple[str, Factory]:
    """Return the name and the sessions of the engine that is wanted, or of the best there is.

    Raises EngineUnavailable if `wanted` is no engine or does not load.
    """
    if not wanted:
        try:
            return "native", load("native")
        except ImportError:
            return "portable", load("portable")
    if wanted not in ENGINES:
        raise EngineUnavailable(
            f"{ENGINE_VARIABLE}: there is no engine {wanted!r}; one of {', '.join(ENGINES)}"
        )
    try:
        return wanted, load(wanted)
    except ImportError as error:
        raise EngineUnavailable(
            f"{ENGINE_VARIABLE}: the {wanted} engine cannot be loaded ({error}); it is built when Backplane is "
            f"installed where a C compiler and libnghttp2 are, on Debian: {HEADERS_HINT}"
        ) from error


@cache
def _chosen() -> tuple[str, Factory]:
    return choose(os.environ.get(ENGINE_VARIABLE))


def engine_name() -> str:
    """Return the name of the engine that `create_session` uses. Raises EngineUnavailable."""
    return _chosen()[0]


def engine_hint() -> str | None:
    """Return what would make this process faster, or None if its engine is the fastest. Raises EngineUnavailable."""
    if engine_name() == "native":
        return None
    return f"the portable HTTP/2 engine runs, which costs more CPU; for the native one: {HEADERS_HINT}, and reinstall"


def create_session(role: Role, limits: Limits) -> Session:
    """Return a session of the process's engine. Raises EngineUnavailable."""
    return _chosen()[1](role, limits)
