"""The OpenAPI document of the management API: what FastAPI finds, and what is true of every operation.

It says the same on every machine: `openapi/openapi.json` is this document, and a test compares the two.
"""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from .management.answers import problems
from .management.problem import MEDIA_TYPE, Problem

__all__ = ["describe"]

REPLACED = ("HTTPValidationError", "ValidationError")
"""FastAPI's own words for what our problems say."""
BODY_PROBLEMS = (400, 413, 415)
"""What any operation with a body may answer."""
REQUEST_ID = {
    "X-Request-Id": {
        "description": "The request, as the edge's log and the audit name it.",
        "schema": {"type": "string"},
    }
}


def describe(api: FastAPI) -> dict[str, Any]:
    """Return the document."""
    document = get_openapi(
        title=api.title,
        version=api.version,
        summary=api.summary,
        description=api.description,
        routes=api.routes,
        tags=api.openapi_tags,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in REPLACED:
        schemas.pop(name, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas[Problem.__name__] = problem
    for schema in schemas.values():
        for example in schema.get("examples", ()):
            _restore(example, schema, schemas)
    for schema in schemas.values():
        _show_page(schema, schemas)
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    shared: dict[str, Any] = {}
    for item in document["paths"].values():
        for operation in item.values():
            _complete(operation)
            _share(operation, shared)
    document["components"]["responses"] = dict(sorted(shared.items()))
    return document


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter that may be absent, but is never null."""
    choices = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) != 1:
        return schema
    plain: dict[str, Any] = choices[0]
    return {key: value for key, value in schema.items() if key != "anyOf"} | plain


def _restore(example: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put back what examples lose on their way: members that are null, and the order of the others."""
    if "$ref" in schema:
        _restore(example, schemas[schema["$ref"].rpartition("/")[2]], schemas)
    elif isinstance(example, list):
        for one in example:
            _restore(one, schema.get("items", {}), schemas)
    elif isinstance(example, dict):
        if "discriminator" in schema:
            chosen = schema["discriminator"]
            _restore(example, {"$ref": chosen["mapping"][example[chosen["propertyName"]]]}, schemas)
        for name in schema.get("required", ()):
            example.setdefault(name, None)
        properties = schema.get("properties", {})
        ordered = {name: example[name] for name in properties if name in example} | example
        example.clear()
        example.update(ordered)
        for name, inner in properties.items():
            if name in example:
                _restore(example[name], inner, schemas)


def _show_page(schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Give a page of a list an example with one item."""
    properties = schema.get("properties", {})
    if properties.keys() != {"items", "next_cursor"}:
        return
    item = properties["items"]["items"]
    while "$ref" not in item:
        item = item["oneOf"][0]
    [example, *_] = schemas[item["$ref"].rpartition("/")[2]]["examples"]
    schema["examples"] = [{"items": [example], "next_cursor": None}]


def _complete(operation: dict[str, Any]) -> None:
    """Add what is true of every operation."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    responses: dict[str, Any] = operation["responses"]
    if "requestBody" in operation:
        said = problems(*BODY_PROBLEMS)
        for code in BODY_PROBLEMS:
            responses.setdefault(str(code), said[code])
    for response in responses.values():
        response["headers"] = response.get("headers", {}) | REQUEST_ID
    operation["responses"] = dict(sorted(responses.items()))


def _share(operation: dict[str, Any], shared: dict[str, Any]) -> None:
    """Put problems, which are the same for many operations, into a place of their own."""
    responses: dict[str, Any] = operation["responses"]
    for status, response in responses.items():
        example = response.get("content", {}).get(MEDIA_TYPE, {}).get("example")
        if example is None:
            continue
        code = example["code"]
        for name in (code, f"{operation['tags'][0]}_{code}"):
            if shared.setdefault(name, response) == response:
                responses[status] = {"$ref": f"#/components/responses/{name}"}
                break
