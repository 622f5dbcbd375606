"""JSON Schemas of all messages between edge and agent, for who writes either in another language.

`python -m h2s.schemas DIRECTORY` writes one file for each message that goes alone over the wire, named as it is, and
removes what is there of messages that are no more.
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from .control import METHODS
from .messages import Hello, Message, Refusal, Welcome

__all__ = ["schemas", "write_schemas"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schemas() -> dict[str, str]:
    """Return the text of each file by its name."""
    found: dict[str, type[Message]] = {model.__name__: model for model in (Hello, Welcome, Refusal)}
    for method in METHODS.values():
        for model in (method.request, method.response):
            found[model.__name__] = model
    return {f"{name}.json": _text(model) for name, model in sorted(found.items())}


def _text(model: type[Message]) -> str:
    schema = {"$schema": DIALECT, **model.model_json_schema(mode="validation")}
    classes = {each.__name__: each for each in Message.__subclasses__()}
    for part in (schema, *schema.get("$defs", {}).values()):
        _describe(classes[part["title"]], part["properties"])
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _describe(model: type[Message], properties: dict[str, Any]) -> None:
    """Add what the code says below each member; pydantic would have every program do this at its start."""
    [body] = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(body, ast.ClassDef)
    for member, below in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(member, ast.AnnAssign)
            and isinstance(member.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
        ):
            properties[member.target.id]["description"] = inspect.cleandoc(str(below.value.value))


def write_schemas(directory: Path) -> None:
    """Bring a directory to what `schemas` returns."""
    directory.mkdir(parents=True, exist_ok=True)
    texts = schemas()
    for path in directory.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (directory / name).write_text(text, "utf-8")


if __name__ == "__main__":
    write_schemas(Path(sys.argv[1]))
