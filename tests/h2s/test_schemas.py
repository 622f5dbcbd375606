"""The JSON Schemas of the messages: what is committed is what the code says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from h2s.messages import AgentMessage, Report
from h2s.schemas import schemas, write_schemas

COMMITTED = Path(__file__).parents[2] / "docs" / "schemas"


def test_what_is_committed_is_what_the_code_says() -> None:
    committed = {path.name: path.read_text("utf-8") for path in COMMITTED.iterdir()}
    assert committed == schemas(), "run `make schemas`"


def test_every_message_of_every_call_has_one() -> None:
    assert {name.removesuffix(".json") for name in schemas()} == {
        "AgentMessage",
        "EdgeMessage",
        "Hello",
        "InspectRequest",
        "Inspection",
        "PollRequest",
        "Refusal",
        "Report",
        "Welcome",
    }


@pytest.mark.parametrize("name", sorted(schemas()))
def test_they_say_what_each_member_is_and_allow_more(name: str) -> None:
    schema = json.loads(schemas()[name])
    assert schema["title"] == name.removesuffix(".json")
    assert schema["description"]
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part.get("additionalProperties") is not False


def test_no_bound_is_left_out() -> None:
    report = Report.model_json_schema()["$defs"]["InstanceReport"]["properties"]
    assert (report["healthy"]["minimum"], report["healthy"]["maximum"]) == (0, 1_000_000)
    assert "config_ack" in AgentMessage.model_json_schema()["properties"]


def test_what_is_no_more_is_removed(tmp_path: Path) -> None:
    (tmp_path / "Gone.json").write_text("{}")
    write_schemas(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(schemas())
