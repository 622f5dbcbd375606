"""Whether the modules that every request passes through are compiled (`setup.py` names them)."""

from __future__ import annotations

from . import window

__all__ = ["COMPILE_VARIABLE", "data_path", "data_path_hint"]

COMPILE_VARIABLE = "BACKPLANE_COMPILE"
"""Says to an installation whether to compile: 0 never, 1 or fail. A process that runs takes no notice of it."""


def data_path() -> str:
    """Return "compiled" or "interpreted"; all is one or the other."""
    return "interpreted" if str(window.__file__).endswith(".py") else "compiled"


def data_path_hint() -> str | None:
    """Return what would make this process faster, or None if its data path is compiled."""
    if data_path() == "compiled":
        return None
    return (
        "the data path is interpreted, which costs more CPU; for the compiled one: "
        "apt-get install gcc python3-dev, and install Backplane again, not as editable"
    )
