from __future__ import annotations

from collections.abc import Mapping

import pytest

from app.management.warning import selector_warnings
from edge.selector import Selector
from tests.app.console import instance


@pytest.mark.parametrize(
    ("selector", "code"),
    [
        ("service=web", None),
        ("service=web,release=v1", None),
        ("service=web,release=v2", "matches_nothing"),
        ("service=web,!release", "matches_nothing"),
        ("service=none", "matches_nothing"),
        ("service in (web,none)", None),
        ("service in (web,api)", "matches_several_services"),
        ("release=v1", "matches_several_services"),
        ("release", "matches_several_services"),
        ("agent=web-1,release", None),
    ],
)
def test_a_selector_that_may_not_be_meant_so_is_told(selector: str, code: str | None) -> None:
    known = [
        instance(service, agent_id=f"{service}-1", labels={"release": "v1"}) for service in ("web", "api")
    ]
    assert [one.code for one in selector_warnings([("selector", selector)], known)] == (
        [code] if code else []
    )


def test_many_selectors_are_not_each_held_against_every_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Mapping[str, str]] = []
    matches = Selector.matches

    def counted(selector: Selector, labels: Mapping[str, str]) -> bool:
        looked_at.append(labels)
        return matches(selector, labels)

    monkeypatch.setattr(Selector, "matches", counted)
    known = [instance("web", agent_id=f"web-{n}", labels={"release": f"v{n}"}) for n in range(100)]
    selectors = [("selector", f"service=web,release=v{n}") for n in range(200)]
    assert len(selector_warnings(selectors, known)) == 100
    assert len(looked_at) == 100
