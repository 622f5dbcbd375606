"""What is wrong with the value of a setting, in words of our own.

A value of the wrong kind is answered with what a right one is: `17 is not a whole number from 1 to 16`. What checks of
ours raise (ValueError) is passed on as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["explain_value"]

NUMBERS = {"int": "a whole number", "float": "a number"}
"""How the beginning of a problem's type names what should have been."""
BOUNDS = {
    "greater_than",
    "greater_than_equal",
    "less_than",
    "less_than_equal",
    "finite_number",
    "multiple_of",
}
BOUND_WORDS = {"gt": "above", "ge": "from", "lt": "and below", "le": "up to"}
KINDS = {
    "bool": "true or false",
    "string": "a text: put it in quotes",
    "path": "a path: put it in quotes",
    "tuple": 'a list: write ["..."]',
    "list": 'a list: write ["..."]',
    "mapping": 'a table: write { name = "value" }',
    "dict": 'a table: write { name = "value" }',
}
MAX_SHOWN = 80


def explain_value(field: FieldInfo, problem: ErrorDetails) -> str:
    """Return one clause that says what is wrong, and what would be right."""
    kind = problem["type"]
    context: dict[str, Any] = problem.get("ctx", {})
    value = problem["input"]
    match kind:
        case "missing":
            return "is required"
        case "value_error":
            return str(context["error"])
        case "literal_error":
            allowed = str(context["expected"]).replace("'", "").replace(" or ", ", ")
            return f"{_shown(value)} is none of {allowed}"
        case "string_too_short" | "too_short":
            return "may not be empty"
        case "string_too_long":
            return f"{_shown(value)} is longer than {context['max_length']} characters"
    prefix = kind.partition("_")[0]
    if kind in BOUNDS or prefix in NUMBERS:
        whole = field.annotation is int or "int" in str(field.annotation)
        return f"{_shown(value)} is not {NUMBERS['int' if whole else 'float']}{_range(field.metadata)}"
    if prefix in KINDS:
        return f"{_shown(value)} is not {KINDS[prefix]}"
    message = problem["msg"].removeprefix("Input ")
    return f"{_shown(value)} {message[:1].lower()}{message[1:]}"


def _range(metadata: Sequence[object]) -> str:
    """Say which numbers are allowed, from the bounds of a field."""
    found = {name: getattr(item, name) for item in metadata for name in BOUND_WORDS if hasattr(item, name)}
    parts = [f"{word} {_number(found[name])}" for name, word in BOUND_WORDS.items() if name in found]
    words = " ".join(parts).removeprefix("and ")
    return f" {words.replace('up to', 'to') if 'ge' in found else words}" if parts else ""


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _shown(value: object) -> str:
    """Return a value as it may stand in one line."""
    text = repr(value) if isinstance(value, str | int | float) else f"this {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "..."
