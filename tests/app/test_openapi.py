"""The OpenAPI document says of every operation what it takes and every answer that it gives, with examples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from app.openapi_file import render

COMMITTED = Path(__file__).parents[2] / "openapi" / "openapi.json"
PROBLEM = {"$ref": "#/components/schemas/Problem"}


@lru_cache
def document() -> dict[str, Any]:
    """Return the document as it is now."""
    return json.loads(render())  # type: ignore[no-any-return]


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each operation, with its method and path."""
    for path, item in document()["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference stands for."""
    if "$ref" not in part:
        return part
    found: Any = document()
    for key in part["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found  # type: ignore[no-any-return]


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """Whether a value is what a schema of the document says."""
    return jsonschema_rs.Draft202012Validator({**schema, "components": document()["components"]}).is_valid(
        value
    )


def test_the_committed_document_is_the_one_of_this_api() -> None:
    assert COMMITTED.read_text("utf-8") == render(), "the API has changed: run `make openapi`"


def test_every_operation_has_a_tag_that_is_described() -> None:
    described = {tag["name"] for tag in document()["tags"] if tag["description"]}
    used = set()
    for where, operation in operations():
        assert len(operation["tags"]) == 1, where
        used |= set(operation["tags"])
    assert used <= described


def test_operations_are_told_apart_by_their_ids_and_their_summaries() -> None:
    for key in ("operationId", "summary"):
        values = [operation[key] for _, operation in operations()]
        assert len(set(values)) == len(values), key


def test_every_answer_to_a_refused_request_is_a_problem_with_a_code() -> None:
    for where, operation in operations():
        for status, answer in operation["responses"].items():
            answer = resolved(answer)
            assert answer["description"], f"{where} {status}"
            assert "X-Request-Id" in answer["headers"], f"{where} {status}"
            if int(status) < 400 or (where, status) == ("GET /readyz", "503"):
                continue
            content = answer["content"]
            assert list(content) == ["application/problem+json"], f"{where} {status}"
            told = content["application/problem+json"]
            assert told["schema"] == PROBLEM, f"{where} {status}"
            assert told["example"]["status"] == int(status), f"{where} {status}"
            assert told["example"]["code"], f"{where} {status}"
            assert fits(told["example"], PROBLEM), f"{where} {status}"


def test_every_operation_says_what_may_go_wrong_with_it() -> None:
    for where, operation in operations():
        wanted = set()
        if operation.get("security"):
            wanted |= {"401", "403", "429", "503"}
        if "parameters" in operation:
            wanted.add("422")
        if any(one["name"] == "If-Match" for one in operation.get("parameters", [])):
            wanted.add("412")
        if "requestBody" in operation:
            wanted |= {"400", "413", "415", "422"}
        if "{" in where and not where.startswith("PUT"):
            wanted.add("404")
        assert wanted <= operation["responses"].keys(), where


def test_every_schema_is_described_and_has_an_example_that_fits_it() -> None:
    for name, schema in document()["components"]["schemas"].items():
        assert schema["description"], name
        if "enum" in schema:
            continue
        assert schema["examples"], name
        for example in schema["examples"]:
            assert fits(example, {"$ref": f"#/components/schemas/{name}"}), f"{name}: {example}"
        for field, said in schema["properties"].items():
            assert said.get("description"), f"{name}.{field}"


def test_every_body_has_an_example_that_fits_it() -> None:
    for where, operation in operations():
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            if media_type != "application/json":
                continue
            shown = [one["value"] for one in content.get("examples", {}).values()]
            shown += [content["example"]] if "example" in content else []
            shown += resolved(content["schema"]).get("examples", [])
            assert shown, where
            assert all(fits(one, content["schema"]) for one in shown), where


def test_every_good_answer_with_content_has_an_example() -> None:
    for where, operation in operations():
        for status, answer in operation["responses"].items():
            content = resolved(answer).get("content", {})
            if int(status) >= 300 or "application/json" not in content:
                continue
            schema = content["application/json"]["schema"]
            choices = schema.get("oneOf", [schema])
            assert all(resolved(one).get("examples") for one in choices), f"{where} {status}"
