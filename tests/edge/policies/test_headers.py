from __future__ import annotations

import pytest
from pydantic import ValidationError

from edge.policies import Chain, FieldEdits, HeadersRule

from ..fakes import make_request


def chain(**edits: FieldEdits) -> Chain:
    return Chain([HeadersRule(type="headers", **edits).compile()])  # type: ignore[arg-type]


def test_fields_are_removed_set_and_added_in_this_order() -> None:
    edits = FieldEdits(remove=("X-Gone",), set={"X-Set": "new"}, add={"x-more": "2"})
    request = make_request(
        fields=[(b"x-gone", b"1"), (b"x-set", b"old"), (b"x-set", b"older"), (b"x-more", b"1")]
    )
    before = request.fields
    chain(request=edits).enter(request)
    assert request.fields == [(b"x-more", b"1"), (b"x-set", b"new"), (b"x-more", b"2")]
    assert len(before) == 4, "the list belongs to whoever gave it"


def test_request_and_response_are_edited_apart() -> None:
    edits = chain(response=FieldEdits(set={"x-frame-options": "DENY"}))
    assert edits.edits_response
    assert edits.edit_response([]) == [(b"x-frame-options", b"DENY")]
    request = make_request()
    edits.enter(request)
    assert request.fields == []


def test_a_rule_that_says_nothing_costs_nothing() -> None:
    assert chain().is_empty


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Content-Length", "frames"),
        ("Transfer-Encoding", "frames"),
        ("Connection", "frames"),
        ("Upgrade", "frames"),
        ("Host", "frames"),
        ("TE", "frames"),
        ("Sec-WebSocket-Key", "frames"),
        ("h2s-control", "tunnel"),
        ("X-Forwarded-For", "set by the edge"),
        ("Forwarded", "set by the edge"),
        ("X-Request-Id", "set by the edge"),
        ("x_y", "hyphen"),
        (":path", "not a field's name"),
        ("x y", "not a field's name"),
        ("", "not a field's name"),
    ],
)
@pytest.mark.parametrize("kind", ["remove", "set", "add"])
def test_what_frames_the_message_or_is_the_edges_own_is_refused(kind: str, name: str, hint: str) -> None:
    with pytest.raises(ValidationError, match=hint):
        FieldEdits.model_validate({kind: [name] if kind == "remove" else {name: "1"}})


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\x00", " a", "a ", "ä"])
def test_a_value_cannot_be_two(value: str) -> None:
    with pytest.raises(ValidationError, match="printable"):
        FieldEdits(set={"x-a": value})


@pytest.mark.parametrize("kind", ["set", "add"])
def test_no_field_is_given_twice_in_different_cases(kind: str) -> None:
    with pytest.raises(ValidationError, match="x-a is given twice"):
        FieldEdits.model_validate({kind: {"X-A": "1", "x-a": "2"}})


def test_a_field_is_not_both_set_and_added() -> None:
    with pytest.raises(ValidationError, match="do one of the two"):
        FieldEdits(set={"x-a": "1"}, add={"X-A": "2"})
