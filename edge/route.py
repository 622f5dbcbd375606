"""What a route is, as an operator writes it, the API stores it and a snapshot carries it.

A route sends the requests of a host, below a path and under conditions, to weighted targets. Of all enabled routes
that match a request the most specific serves it: an exact host before a wildcard, a longer wildcard before a shorter,
then the longer path, the higher priority, the greater number of conditions, and at last the name that sorts first.

What cannot work is refused here, with the field and a way out; what only a whole set of routes shows (two that are
identical, a policy that is not there) is found by `edge.routes`.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, Strict, model_validator

from h2s.fields import HOP_BY_HOP

from .fieldset import is_withheld
from .forwarded import is_edge_field
from .selector import Selector, SelectorError

__all__ = [
    "HeaderMatch",
    "PolicyName",
    "QueryMatch",
    "RouteKey",
    "RouteName",
    "RouteSpec",
    "TargetSpec",
    "ValueMatch",
    "Whole",
    "YesNo",
]

RouteKey = tuple[str, str, int, tuple[str, ...], tuple["ValueMatch", ...], tuple["ValueMatch", ...]]
"""What tells two routes apart: host, path, priority and conditions."""

MAX_WEIGHT = 1_000_000
MAX_PATH = 2048

_LABEL = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,=:@%-]+)*")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})?")
_NEVER_ESCAPED = re.compile(r"[A-Za-z0-9._~!$&'()*+,=:@/\\;-]")
"""What is never written as %XX in a route: characters that stand for themselves, and those that part segments."""
_METHOD = re.compile(r"[!#$%&'*+.^_`|~0-9A-Z-]{1,64}")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^`|~0-9a-z-]{1,128}")
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*")


def _check_host(text: str) -> str:
    host = text.lower()
    if host.startswith("["):
        try:
            if host.endswith("]"):
                return f"[{IPv6Address(host[1:-1])}]"
            raise AddressValueError
        except AddressValueError:
            raise ValueError(
                f"{text!r} is not an IPv6 address in brackets, for example [2001:db8::1]"
            ) from None
    host = host.removesuffix(".")
    name, _, port = host.partition(":")
    if port.isdigit():
        raise ValueError(f"a host has no port: write {name!r}")
    if "/" in host:
        raise ValueError("a host has no scheme and no path: write example.com, and the path in 'path'")
    rest = host.removeprefix("*.")
    if "*" in rest:
        raise ValueError("a wildcard is the whole first label: write *.example.com")
    if not _HOST.fullmatch(rest) or len(rest) > 253:
        raise ValueError(f"{text!r} is not a host name: write example.com or *.example.com")
    return host


def _check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError("a path starts with '/'")
    path = text.rstrip("/")
    if "?" in text or "#" in text:
        raise ValueError("a path has no query and no fragment: match a query with 'query'")
    if "//" in text:
        raise ValueError("a path has no empty segment: write one '/' between segments")
    if any(segment in (".", "..") for segment in path.split("/")):
        raise ValueError("a path has no '.' and no '..' segment")
    if any(segment and not segment.strip("*") for segment in path.split("/")):
        raise ValueError("a path has no wildcard: it is a prefix, so that /api also matches /api/x")
    if not _PATH.fullmatch(path):
        raise ValueError("other characters than letters, digits and -._~!$&'()*+,=:@ are written as %XX")
    for escape in _ESCAPE.finditer(path):
        if escape[1] is None:
            raise ValueError("after '%' come two hexadecimal digits; the character itself is written %25")
        if escape[1] != escape[1].upper():
            raise ValueError(f"write {escape[0].upper()} for {escape[0]}")
        character = chr(int(escape[1], 16))
        if _NEVER_ESCAPED.fullmatch(character):
            raise ValueError(f"{escape[0]} stands for {character!r}, which a route cannot have in this way")
    return path or "/"


def _check_methods(methods: tuple[str, ...]) -> tuple[str, ...]:
    for method in methods:
        if not _METHOD.fullmatch(method):
            upper = method.upper()
            hint = f": write {upper}" if _METHOD.fullmatch(upper) else ""
            raise ValueError(f"{method!r} is not a method in capital letters{hint}")
    return tuple(sorted(set(methods)))


def _check_field_name(text: str) -> str:
    name = text.lower()
    encoded = name.encode("ascii", "replace")
    if not _FIELD_NAME.fullmatch(name):
        raise ValueError(f"{text!r} is not a field's name, or has an underscore, which no field has here")
    if name in ("host", "te", "expect", "content-length") or encoded in HOP_BY_HOP:
        raise ValueError(f"{name} cannot be matched: it belongs to the connection" + _instead(name))
    if is_edge_field(encoded) or is_withheld(encoded):
        raise ValueError(f"{name} cannot be matched: an edge sets it, whatever a client sent")
    return name


def _instead(name: str) -> str:
    return "; the host is matched by 'host'" if name == "host" else ""


def _check_selector(text: str) -> str:
    try:
        Selector.parse(text)
    except SelectorError as error:
        raise ValueError(str(error)) from None
    return text.strip()


def _check_printable(text: str) -> str:
    if not _PRINTABLE.fullmatch(text):
        raise ValueError("control characters have no place here")
    return text


def _check_once(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{name!r} is there twice: leave one out")
    return names


RouteName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$", examples=["shop"]),
]
PolicyName = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$", examples=["office-only"]),
]


def _check_number(value: object) -> object:
    if isinstance(value, (bool, str)):
        raise ValueError("it should be a number")
    return value


Whole = Annotated[int, BeforeValidator(_check_number)]
"""A number that is written as one: neither `true` nor "1"."""
YesNo = Annotated[bool, Strict()]
"""true or false, and not what may be meant so."""
MatchedText = Annotated[str, Field(max_length=4096), AfterValidator(_check_printable)]


class Spec(BaseModel):
    """Base of what an operator writes: frozen; a field that is not known is an error, not ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ValueMatch(Spec):
    """A condition on something that has a name and a value: exactly one of `exact`, `prefix` and `present`."""

    name: str
    exact: MatchedText | None = Field(default=None, description="The value is this, letter by letter.")
    prefix: Annotated[MatchedText, Field(min_length=1)] | None = Field(
        default=None, description="The value starts with this."
    )
    present: YesNo | None = Field(
        default=None, description="True: it is there, with whatever value. False: it is not there at all."
    )

    @model_validator(mode="after")
    def _one_condition(self) -> ValueMatch:
        if sum(condition is not None for condition in (self.exact, self.prefix, self.present)) != 1:
            raise ValueError("give exactly one of 'exact', 'prefix' and 'present'")
        return self

    def order(self) -> tuple[str, str]:
        """A key to sort by, so that the order in which conditions were written does not matter."""
        return self.name, self.model_dump_json()


class HeaderMatch(ValueMatch):
    """A condition on a request's header field. Of several fields of one name, one that fits is enough."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "x-canary", "exact": "yes"}]})

    name: Annotated[str, AfterValidator(_check_field_name)] = Field(
        description="The field's name, in any case.", examples=["x-canary"]
    )


class QueryMatch(ValueMatch):
    """A condition on a parameter of the query, after decoding. Of several of one name, one that fits is enough."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "beta", "present": True}]})

    name: Annotated[MatchedText, Field(min_length=1)] = Field(
        description="The parameter's name, decoded; upper and lower case differ.", examples=["beta"]
    )


class TargetSpec(Spec):
    """One of the places a route sends its requests to."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "v2", "selector": "service=web,release=v2", "weight": 10}]}
    )

    name: Annotated[str, Field(min_length=1, max_length=2048), AfterValidator(_check_printable)] = Field(
        default="",
        description="Its name within the route; the selector as it is written, if none is given.",
        examples=["v2"],
        validate_default=False,
    )
    selector: Annotated[str, Field(max_length=2048), AfterValidator(_check_selector)] = Field(
        description="Which instances: comma-separated `k=v`, `k!=v`, `k in (a,b)`, `k notin (a,b)`, `k`, `!k`. "
        "`service`, `zone` and `agent` are what an instance is; all other keys are its labels.",
        examples=["service=web,release=v2"],
    )
    weight: Whole = Field(
        default=1,
        ge=0,
        le=MAX_WEIGHT,
        description="Its share of the requests, relative to the weights of the others. 0: none at all.",
        examples=[10],
    )

    @model_validator(mode="after")
    def _name_it(self) -> TargetSpec:
        if not self.name:
            # The instance is not shared yet; a frozen model offers no other way to default one field to another.
            self.__dict__["name"] = self.selector
            self.__pydantic_fields_set__.add("name")
        return self


class RouteSpec(Spec):
    """Sends the requests of a host, below a path and under conditions, to weighted targets."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "shop",
                    "host": "shop.example.com",
                    "path": "/",
                    "targets": [
                        {"name": "v1", "selector": "service=web,release=v1", "weight": 90},
                        {"name": "v2", "selector": "service=web,release=v2", "weight": 10},
                    ],
                }
            ]
        }
    )

    name: RouteName = Field(description="Its name, which never changes.")
    host: Annotated[str, Field(max_length=256), AfterValidator(_check_host)] = Field(
        description="A host name, or `*.suffix` for every host that ends so, however many labels come before.",
        examples=["shop.example.com", "*.example.com"],
    )
    path: Annotated[str, Field(max_length=MAX_PATH), AfterValidator(_check_path)] = Field(
        default="/",
        description="A prefix in whole segments: `/api` matches `/api` and `/api/x`, not `/apix`.",
        examples=["/api"],
    )
    methods: Annotated[tuple[str, ...], Field(max_length=32), AfterValidator(_check_methods)] = Field(
        default=(), description="One of these; empty for any.", examples=[["GET", "HEAD"]]
    )
    headers: Annotated[tuple[HeaderMatch, ...], Field(max_length=32)] = Field(
        default=(), description="All of these conditions on header fields."
    )
    query: Annotated[tuple[QueryMatch, ...], Field(max_length=32)] = Field(
        default=(), description="All of these conditions on the query."
    )
    priority: Whole = Field(
        default=0,
        ge=-1_000_000,
        le=1_000_000,
        description="Among routes of the same host and path the higher one is looked at first.",
    )
    targets: Annotated[tuple[TargetSpec, ...], Field(max_length=64)] = Field(
        description="Where its requests go. A target without a healthy instance is passed over."
    )
    policies: Annotated[tuple[PolicyName, ...], Field(max_length=64), AfterValidator(_check_once)] = Field(
        default=(), description="Policies that apply to it, in this order."
    )
    enabled: YesNo = Field(default=True, description="False: it is kept, and matches nothing.")

    @model_validator(mode="after")
    def _targets_can_serve(self) -> RouteSpec:
        if not self.targets:
            raise ValueError("targets: a route has at least one target, for example service=web")
        names = [target.name for target in self.targets]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"targets: two are called {name!r}: give each a 'name' of its own")
        if not any(target.weight for target in self.targets):
            raise ValueError("targets: the weights sum to zero, so that no request could go anywhere")
        return self

    @property
    def key(self) -> RouteKey:
        """What tells it apart from others: two enabled routes with one key are identical, and an error."""
        return (
            self.host,
            self.path,
            self.priority,
            self.methods,
            tuple(sorted(self.headers, key=ValueMatch.order)),
            tuple(sorted(self.query, key=ValueMatch.order)),
        )
