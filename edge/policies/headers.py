"""The rule `headers`: fields of a request's or a response's head that are removed, set or added."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from h2s.engine.session import Fields
from h2s.fields import HOP_BY_HOP

from ..forwarded import is_edge_field
from ..message import Request
from ..route import Spec
from .chain import Steps

__all__ = ["FieldEdits", "HeadersRule"]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]{1,128}")
_VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
_FRAMING = frozenset((b"content-length", b"content-range", b"expect", b"host", b"te", b"trailer"))
"""Fields that say where a message begins and ends or who it is for."""


def _check_name(text: str) -> str:
    name = text.lower()
    encoded = name.encode("ascii", "replace")
    if not _NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not a field's name")
    if encoded.startswith(b"h2s-"):
        raise ValueError(f"{name} belongs to the tunnel: choose a name that does not start with h2s-")
    if "_" in name:
        raise ValueError(f"{name} has an underscore, which many apps take for a hyphen: write a hyphen")
    if encoded in HOP_BY_HOP or encoded in _FRAMING or encoded.startswith(b"sec-websocket-"):
        raise ValueError(
            f"{name} is the edge's to handle: it frames the message or belongs to the connection"
        )
    if is_edge_field(encoded):
        raise ValueError(f"{name} is set by the edge itself")
    return name


def _check_value(text: str) -> str:
    if not _VALUE.fullmatch(text):
        raise ValueError("a field's value is printable ASCII, without blanks at its ends")
    return text


def _each_name_once(value: object) -> object:
    """Names are the same in any case: of two that differ by it alone one would be lost."""
    names = [name.lower() for name in value if isinstance(name, str)] if isinstance(value, Mapping) else []
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name} is given twice: names of fields are the same in any case")
    return value


FieldName = Annotated[str, AfterValidator(_check_name)]
FieldValue = Annotated[str, Field(max_length=8192), AfterValidator(_check_value)]
FieldValues = Annotated[dict[FieldName, FieldValue], Field(max_length=64), BeforeValidator(_each_name_once)]
Edits = Callable[[Fields], Fields]


class FieldEdits(Spec):
    """Changes of a head, made in this order: `remove`, `set`, `add`."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"set": {"x-frame-options": "DENY"}, "remove": ["server"]}]}
    )

    remove: Annotated[tuple[FieldName, ...], Field(max_length=64)] = Field(
        default=(), description="Every field of these names goes.", examples=[["server"]]
    )
    set: FieldValues = Field(
        default={},
        description="One field with this value in place of all of its name.",
        examples=[{"x-frame-options": "DENY"}],
    )
    add: FieldValues = Field(
        default={}, description="One more field with this value.", examples=[{"vary": "accept"}]
    )

    @model_validator(mode="after")
    def _set_or_add(self) -> FieldEdits:
        both = sorted(self.set.keys() & self.add.keys())
        if both:
            raise ValueError(f"{both[0]} is both set and added: do one of the two")
        return self

    def compile(self) -> Edits | None:
        """Return what makes the changes, or None if there are none."""
        gone = frozenset(name.encode() for name in (*self.remove, *self.set))
        more = [*_fields(self.set), *_fields(self.add)]

        def edit(fields: Fields) -> Fields:
            return [*(field for field in fields if field[0] not in gone), *more]

        return edit if gone or more else None


class HeadersRule(Spec):
    """Changes fields of the request that goes to the app, and of the response that goes to the client."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "headers",
                    "request": {"set": {"x-tenant": "acme"}},
                    "response": {
                        "set": {"strict-transport-security": "max-age=31536000"},
                        "remove": ["server"],
                    },
                }
            ]
        }
    )

    type: Literal["headers"] = Field(description="`headers`")
    request: FieldEdits = Field(default=FieldEdits(), description="What the app gets.")
    response: FieldEdits = Field(default=FieldEdits(), description="What the client gets.")

    def compile(self) -> Steps:
        """Return what heads go through."""
        edit = self.request.compile()

        def edit_request(request: Request) -> None:
            assert edit is not None
            request.fields = edit(request.fields)

        return Steps(request=edit_request if edit else None, response=self.response.compile())


def _fields(values: Mapping[str, str]) -> Fields:
    return [(name.encode(), value.encode()) for name, value in values.items()]
