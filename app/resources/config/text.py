"""Documents as text: YAML and JSON, in and out."""

from __future__ import annotations

import json
from typing import Any

import yaml

from app.management.problem import Malformed, UnsupportedMedia

__all__ = ["JSON_TYPE", "YAML_TYPE", "to_yaml", "wants_yaml"]

JSON_TYPE = "application/json"
YAML_TYPE = "application/yaml"
YAML_TYPES = frozenset({YAML_TYPE, "application/x-yaml", "text/yaml", "text/x-yaml"})
MAX_DEPTH = 50
MAX_SCALAR = 64
"""Characters of a number or a time."""

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader that does no more work than a text is long.

    Keys that are numbers can be chosen so that all of them collide in a dict, a number of any length (`1:59:59:...`)
    costs the square of it, and merges (`<<: [*a, *a]`) are aliases that older versions of PyYAML multiply at each
    level. No configuration has any of these.
    """

    def flatten_mapping(self, node: Any) -> None:
        """See that all keys are text, where merges would be carried out."""
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                raise _at(key, "it has a merge (<<): write things out")
            if key.tag != "tag:yaml.org,2002:str":
                raise _at(key, "a key that is not text: put it in quotes")

    def construct_short(self, node: Any) -> Any:
        """Read what is written as no text: a number, a time, a truth."""
        if len(node.value) > MAX_SCALAR:
            raise _at(node, f"a number or time of more than {MAX_SCALAR} characters")
        try:
            return _Base.yaml_constructors[node.tag](self, node)
        except (ValueError, ArithmeticError, LookupError, AttributeError):
            raise _at(node, f"{node.value!r} is no {node.tag.rpartition(':')[2]}") from None


for _kind in ("bool", "int", "float", "timestamp"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_short)


def parse(content: bytes, media_type: str) -> Any:
    """Return what a text says. Raises Invalid for one that cannot be read, UnsupportedMedia for another kind."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind != JSON_TYPE and kind not in YAML_TYPES:
        raise UnsupportedMedia(
            f"A configuration is {JSON_TYPE} or {YAML_TYPE}, not {kind[:100] or 'without a Content-Type'}."
        )
    try:
        if kind == JSON_TYPE:
            return json.loads(content)
        document = yaml.load(content, Loader=_Loader)  # noqa: S506 (it is a safe loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise _malformed(f"The YAML cannot be read{where}: {error.problem or 'it is damaged'}.") from None
    except (yaml.YAMLError, ValueError, RecursionError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise _malformed(f"The document cannot be read: {reason}.") from None
    _check_tree(document)
    return document


def to_yaml(document: Any) -> str:
    """Return a document as YAML, in its own order."""
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    return text


def wants_yaml(accept: str) -> bool:
    """Whether an Accept field asks for YAML rather than JSON."""
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    yaml_at = next((index for index, kind in enumerate(kinds) if kind in YAML_TYPES), None)
    json_at = next((index for index, kind in enumerate(kinds) if kind == JSON_TYPE), len(kinds))
    return yaml_at is not None and yaml_at < json_at


def _check_tree(document: Any) -> None:
    """See that nothing is in it twice: a few lines of aliases can stand for more than any memory holds."""
    seen: set[int] = set()
    waiting: list[tuple[Any, int]] = [(document, 0)]
    while waiting:
        node, depth = waiting.pop()
        if not isinstance(node, (dict, list)):
            continue
        if id(node) in seen:
            raise _malformed("The YAML has aliases (*name): write things out.")
        if depth > MAX_DEPTH:
            raise _malformed("The document is nested too deep.")
        seen.add(id(node))
        inner = node.values() if isinstance(node, dict) else node
        waiting += [(one, depth + 1) for one in inner]


def _at(node: Any, problem: str) -> yaml.MarkedYAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _malformed(detail: str) -> Malformed:
    return Malformed(detail, hint="Send a YAML or a JSON document.")
