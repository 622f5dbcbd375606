"""The SDK knows what the edge's OpenAPI document says, no more and no less."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from backplane import AsyncClient, Client, models
from backplane.call import Call
from backplane.calls import config, events, live, policies, routes, tokens
from backplane.models.shared import Model

ROOT = Path(__file__).resolve().parents[2]

COMPONENTS: dict[str, type[Model]] = {
    "Route": models.Route,
    "TargetSpec": models.Target,
    "HeaderMatch": models.HeaderMatch,
    "QueryMatch": models.QueryMatch,
    "ApiWarning": models.Warned,
    "Question": models.Question,
    "Explanation": models.Explanation,
    "ExplainedTarget": models.ExplainedTarget,
    "ExplainedInstance": models.ExplainedInstance,
    "Policy": models.Policy,
    "IpRule": models.IpRule,
    "HeadersRule": models.HeadersRule,
    "FieldEdits": models.FieldEdits,
    "JoinToken": models.JoinToken,
    "ApiToken": models.ApiToken,
    "JoinTokenInput": models.JoinTokenInput,
    "ApiTokenInput": models.ApiTokenInput,
    "CreatedToken": models.CreatedToken,
    "Event": models.Event,
    "Service": models.Service,
    "ZoneCount": models.ZoneCount,
    "Instance": models.Instance,
    "InstanceCount": models.InstanceCount,
    "Drain": models.Drain,
    "Tunnel": models.Tunnel,
    "Edge": models.Edge,
    "SnapshotVersion": models.SnapshotVersion,
    "ConfigChange": models.ConfigChange,
    "ConfigResult": models.ConfigResult,
}
"""Schemas of the document, and the models that they are here."""

ENUMS = {"Role"}
"""Schemas of the document that are texts here, so that a newer edge may have more of them."""

ROUTE = {"name": "x"}
CALLS: dict[str, Callable[[], Call[Any]]] = {
    "GET /v1/routes": lambda: routes.ROUTES.list({"source": "", "host": "", "policy": "", "limit": 1})("x"),
    "POST /v1/routes": lambda: routes.ROUTES.create(ROUTE),
    "GET /v1/routes/{name}": lambda: routes.ROUTES.get("x"),
    "PUT /v1/routes/{name}": lambda: routes.ROUTES.replace(ROUTE, name=None, if_version=1, only_new=True),
    "PATCH /v1/routes/{name}": lambda: routes.ROUTES.update("x", {}, if_version=1),
    "DELETE /v1/routes/{name}": lambda: routes.ROUTES.delete("x", if_version=1),
    "PATCH /v1/routes/{name}/weights": lambda: routes.weights("x", {}, if_version=1),
    "POST /v1/routes:explain": lambda: routes.explain(models.Question(host="x")),
    "GET /v1/policies": lambda: policies.POLICIES.list({"limit": 1})("x"),
    "POST /v1/policies": lambda: policies.POLICIES.create(ROUTE),
    "GET /v1/policies/{name}": lambda: policies.POLICIES.get("x"),
    "PUT /v1/policies/{name}": lambda: policies.POLICIES.replace(
        ROUTE, name=None, if_version=1, only_new=True
    ),
    "PATCH /v1/policies/{name}": lambda: policies.POLICIES.update("x", {}, if_version=1),
    "DELETE /v1/policies/{name}": lambda: policies.POLICIES.delete("x", if_version=1),
    "GET /v1/default_policies": policies.default_policies,
    "GET /v1/tokens": lambda: tokens.list_tokens({"kind": "", "revoked": True, "limit": 1})("x"),
    "POST /v1/tokens": lambda: tokens.create(models.JoinTokenInput()),
    "GET /v1/tokens/{token_id}": lambda: tokens.get("x"),
    "PATCH /v1/tokens/{token_id}": lambda: tokens.update("x", {}, if_version=1),
    "DELETE /v1/tokens/{token_id}": lambda: tokens.revoke("x", close_tunnels=True, if_version=1),
    "GET /v1/services": lambda: live.SERVICES.list({"selector": "", "limit": 1})("x"),
    "GET /v1/services/{name}": lambda: live.SERVICES.get("x"),
    "GET /v1/instances": lambda: live.INSTANCES.list({"selector": "", "health": "", "limit": 1})("x"),
    "GET /v1/instances:count": lambda: live.count(["service"], {"selector": "", "limit": 1})("x"),
    "GET /v1/instances/{instance_id}": lambda: live.INSTANCES.get("x"),
    "POST /v1/instances/{instance_id}:drain": lambda: live.drain("x"),
    "POST /v1/instances/{instance_id}:resume": lambda: live.resume("x"),
    "POST /v1/instances/{instance_id}:disconnect": lambda: live.disconnect("x", grace=0),
    "GET /v1/drains": lambda: live.list_drains({"limit": 1})("x"),
    "GET /v1/tunnels": lambda: live.TUNNELS.list({"selector": "", "limit": 1})("x"),
    "GET /v1/tunnels/{tunnel_id}": lambda: live.TUNNELS.get("x"),
    "GET /v1/edges": lambda: live.EDGES.list({"limit": 1})("x"),
    "GET /v1/edges/{edge_id}": lambda: live.EDGES.get("x"),
    "GET /v1/events": lambda: events.list_events(
        dict.fromkeys(("kind", "name", "action", "actor", "since", "until", "limit"), "")
    )("x"),
    "GET /v1/events/stream": lambda: events.follow(1),
    "GET /v1/config": lambda: config.export_text("yaml"),
    "PUT /v1/config": lambda: config.apply({}, media_type="x", dry_run=True, if_version=1),
    "PUT /v1/default_policies": lambda: policies.set_default_policies([], if_version=1),
}
"""Operations of the document, each with a call that has every parameter."""


@pytest.fixture(scope="module")
def document() -> Any:
    """What an edge says of itself: that this file is what it says has a test of its own."""
    return json.loads((ROOT / "openapi" / "openapi.json").read_text())


def operations(document: Any) -> dict[str, Any]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1/")
    }


def test_every_operation_has_a_call(document: Any) -> None:
    assert sorted(CALLS) == sorted(operations(document))


@pytest.mark.parametrize("operation", CALLS)
def test_call_is_what_the_document_says(document: Any, operation: str) -> None:
    call, method = CALLS[operation](), operation.partition(" ")[0]
    pattern = re.sub(r"\{[a-z_]+\}", "x", operation.partition(" ")[2])
    assert (call.method, call.path) == (method, pattern)
    declared = operations(document)[operation]
    parameters = {(one["in"], one["name"].lower()) for one in declared.get("parameters", ())}
    sent = {("query", name) for name in call.query}
    sent |= {("header", name.lower()) for name in call.headers if name != "Content-Type"}
    if call.path == "/v1/events/stream":
        sent.discard(("header", "accept"))
    assert sent == {one for one in parameters if one[0] != "path"}
    assert (call.body is not None) is ("requestBody" in declared)


@pytest.mark.parametrize("name", COMPONENTS)
def test_model_is_what_the_document_says(document: Any, name: str) -> None:
    model = COMPONENTS[name]
    theirs, ours = document["components"]["schemas"][name], model.model_json_schema()
    assert properties(theirs) == properties(ours)
    defaults = {key: one["default"] for key, one in theirs["properties"].items() if "default" in one}
    for key, field in model.model_fields.items():
        if key in defaults and key not in model.read_only and key != "name":
            made = field.get_default(call_default_factory=True)
            shown = made.model_dump(mode="json") if isinstance(made, Model) else made
            assert shown == defaults[key], key


def test_every_model_is_compared() -> None:
    known = {one for _, one in inspect.getmembers(models, inspect.isclass) if issubclass(one, Model)}
    assert known - set(COMPONENTS.values()) == {models.Model, models.Page, models.OtherRule}


def test_both_clients_have_the_same_methods() -> None:
    waiting, coroutines = Client("http://127.0.0.1:1"), AsyncClient("http://127.0.0.1:1")
    pairs = [(Client, AsyncClient)]
    pairs += [
        (type(one), type(getattr(coroutines, name))) for name, one in vars(waiting).items() if name[0] != "_"
    ]
    for one, other in pairs:
        assert methods(one) == methods(other), one


def methods(kind: type) -> dict[str, list[tuple[str, object]]]:
    """Return the public methods of a class, each with its parameters and their defaults."""
    found = inspect.getmembers(kind, lambda one: inspect.isfunction(one) or inspect.ismethod(one))
    return {
        name: [(one.name, one.default) for one in inspect.signature(method).parameters.values()]
        for name, method in found
        if not name.startswith("_")
    }


def properties(schema: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of a schema, each with its type as one text."""
    return {name: kind(one) for name, one in schema["properties"].items()}


def kind(schema: Mapping[str, Any]) -> str:
    """Return a type as one text, without bounds and without null, which is a matter of what is left out."""
    for key in ("anyOf", "oneOf"):
        if key in schema:
            kinds = sorted({kind(one) for one in schema[key]} - {"null", "OtherRule"})
            return " or ".join(kinds)
    if "allOf" in schema:
        return kind(schema["allOf"][0])
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in ENUMS:
            return "string"
        return COMPONENTS[name].__name__ if name in COMPONENTS else name
    if "enum" in schema:
        return "string"
    if "const" in schema:
        return {str: "string", int: "integer"}[type(schema["const"])]
    name = str(schema.get("type", "any"))
    if name == "array":
        return f"[{kind(schema['items'])}]" if "items" in schema else "[any]"
    if name == "object":
        patterns = list(schema.get("patternProperties", {}).values())
        return f"{{{kind(schema.get('additionalProperties') or (patterns or [{}])[0])}}}"
    return f"{name}:{schema['format']}" if "format" in schema else name
