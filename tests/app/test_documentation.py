from __future__ import annotations

import pytest

from app.documentation import OPEN_PAGES, PART

from .console import Console

PAGES = ["/docs", "/redoc"]


@pytest.mark.parametrize("path", PAGES)
def test_pages_can_load_and_send_nothing_elsewhere_and_are_not_framed(console: Console, path: str) -> None:
    answer = console.get(path, role=None)
    rules = dict(rule.strip().split(" ", 1) for rule in answer.headers["content-security-policy"].split(";"))
    assert (
        rules["default-src"]
        == rules["frame-ancestors"]
        == rules["base-uri"]
        == rules["form-action"]
        == "'none'"
    )
    assert rules["script-src"] == rules["connect-src"] == "'self'"
    assert rules["style-src"] == ("'self'" if path == "/docs" else "'self' 'unsafe-inline'")
    assert "http" not in answer.text.partition("<body>")[2]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", sorted(OPEN_PAGES - {"/"}))
def test_what_a_browser_has_is_not_sent_again(console: Console, path: str) -> None:
    first = console.get(path, role=None)
    assert first.status_code == 200
    again = console.get(path, role=None, headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_large_is_sent_compressed_to_those_who_can(console: Console) -> None:
    path = "/docs/swagger-ui.js"
    plain = console.get(path, role=None, headers={"Accept-Encoding": "identity"})
    packed = console.get(path, role=None, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) // 2
    assert len(plain.content) > PART


def test_the_start_leads_to_the_documentation(console: Console) -> None:
    answer = console.get("/", role=None)
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")
