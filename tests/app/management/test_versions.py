from __future__ import annotations

from typing import Any

import pytest

from tests.app.console import Console

TARGETS = [{"selector": "service=web"}]
DOCUMENTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "/v1/routes": ({"name": "one", "host": "one.example", "targets": TARGETS}, {"priority": 1}),
    "/v1/policies": (
        {"name": "one", "rules": [{"type": "ip", "allow": ["192.0.2.0/24"]}]},
        {"description": "ours"},
    ),
}


@pytest.mark.parametrize("path", DOCUMENTS)
def test_every_answer_with_a_document_has_its_etag_and_a_new_one_says_where_it_is(
    console: Console, path: str
) -> None:
    body, change = DOCUMENTS[path]
    where = f"{path}/one"
    other = body | {"name": "two"} | ({"host": "two.example"} if "host" in body else {})
    for n, made in enumerate((console.post(path, body), console.put(f"{path}/two", other)), 1):
        assert (made.status_code, made.headers["etag"]) == (201, f'"{n}"')
        assert made.headers["location"] == f"{path}/{made.json()['name']}"
    answers = (
        console.get(where),
        console.put(where, body),
        console.put(where, body | change),
        console.patch(where, change),
    )
    assert [(one.status_code, one.headers["etag"]) for one in answers] == [
        (200, '"1"'),
        (200, '"1"'),
        (200, '"3"'),
        (200, '"3"'),
    ]
    assert all("location" not in one.headers for one in answers)


def test_every_answer_with_a_token_has_its_etag(console: Console) -> None:
    made = console.post("/v1/tokens", {"kind": "api", "role": "viewer"})
    where = made.headers["location"]
    answers = (made, console.get(where), console.patch(where, {"description": "x"}))
    assert [one.headers["etag"] for one in answers] == ['"1"', '"1"', '"2"']
