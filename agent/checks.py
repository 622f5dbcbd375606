"""Health checks as a user writes them: a text, or in the file a table of the fields of `HealthCheck`.

web=http:/healthz,expect=200-299+404,interval=5
shop=grpc:shop.Basket
db=tcp,timeout=1
raw=none
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from backplane.cli.wording import explain_value
from h2s.messages import HealthCheck

__all__ = ["CHECK_FORM", "make_check"]

CHECK_FORM = "NAME=http:/PATH, NAME=grpc, NAME=tcp or NAME=none, for example web=http:/healthz,interval=5"
_ARGUMENTS = {"http": "path", "grpc": "service"}
"""What stands behind a colon."""
_FORMS = {
    "service": "it is the name of a gRPC service, package.Service",
    "path": "it begins with / and has neither spaces nor letters beyond ASCII",
    "host": "it is HOST or HOST:PORT",
    "expect": "it is statuses and ranges of them, 200-299+404, in the file a list",
}
"""What is said of these whatever is wrong with them."""


def make_check(name: str, value: object) -> HealthCheck:
    """Return the check of service `name` from its text or its table. Raises ValueError."""
    if isinstance(value, str):
        fields = _read(name, value)
    elif isinstance(value, Mapping):
        fields = {str(key): item for key, item in value.items()}
    else:
        raise ValueError(f"should be {CHECK_FORM}")
    for key in fields:
        if key not in HealthCheck.model_fields:
            raise ValueError(f"check of {name!r}: {key!r} is none of {', '.join(HealthCheck.model_fields)}")
    expect = fields.get("expect")
    if expect is not None:
        fields["expect"] = [str(item) for item in (expect if isinstance(expect, list) else [expect])]
    try:
        return HealthCheck.model_validate(fields)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        key = str(problem["loc"][0])
        reason = _FORMS.get(key) or explain_value(HealthCheck.model_fields[key], problem)
        raise ValueError(f"check of {name!r}: {key}: {reason}") from None


def _read(name: str, text: str) -> dict[str, object]:
    first, *pairs = [part.strip() for part in text.split(",")]
    kind, colon, argument = first.partition(":")
    fields: dict[str, object] = {"kind": kind}
    if colon:
        if kind not in _ARGUMENTS:
            raise ValueError(f"check of {name!r}: only http and grpc have something behind a colon")
        fields[_ARGUMENTS[kind]] = argument
    for pair in pairs:
        key, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise ValueError(f"check of {name!r}: {pair!r} is not KEY=VALUE")
        if key in fields:
            raise ValueError(f"check of {name!r}: {key} is given twice")
        fields[key] = value.split("+") if key == "expect" else value
    return fields
