from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.selector import Operator, Requirement, Selector, SelectorError, facts

KEYS = st.sampled_from(["service", "zone", "agent", "release", "in", "notin", "a/b.c-d_e"])
VALUES = st.sampled_from(["", "web", "v1", "v2", "in", "a.b-c_d"])
LABELS = st.dictionaries(KEYS, VALUES)


@st.composite
def requirements(draw: st.DrawFn) -> tuple[str, Requirement]:
    """A requirement as it may be written, and what it means."""
    key, blank = draw(KEYS), draw(st.sampled_from(["", " ", "\t "]))
    form = draw(st.sampled_from(["=", "!=", "in", "notin", "", "!"]))
    if form == "":
        return f"{blank}{key}{blank}", Requirement(key, Operator.PRESENT)
    if form == "!":
        return f"!{blank}{key}{blank}", Requirement(key, Operator.ABSENT)
    operator = Operator.IN if form in ("=", "in") else Operator.NOT_IN
    if form in ("=", "!="):
        value = draw(VALUES)
        return f"{key}{blank}{form}{blank}{value}", Requirement(key, operator, (value,))
    values = draw(st.lists(VALUES, min_size=1, max_size=4))
    text = f"{key} {form}{blank}({blank}{(blank + ',' + blank).join(values)}{blank})"
    return text, Requirement(key, operator, tuple(sorted(set(values))))


def naive(requirement: Requirement, labels: dict[str, str]) -> bool:
    there = requirement.key in labels
    equal = there and labels[requirement.key] in requirement.values
    return {
        Operator.IN: equal,
        Operator.NOT_IN: not equal,
        Operator.PRESENT: there,
        Operator.ABSENT: not there,
    }[requirement.operator]


@given(st.lists(requirements(), min_size=1, max_size=5), LABELS)
def test_a_selector_means_what_is_written(
    written: list[tuple[str, Requirement]], labels: dict[str, str]
) -> None:
    selector = Selector.parse(",".join(text for text, _ in written))
    assert set(selector.requirements) == {requirement for _, requirement in written}
    assert selector.matches(labels) == all(naive(requirement, labels) for _, requirement in written)


@given(st.lists(requirements(), min_size=1, max_size=5), st.randoms())
def test_equal_selectors_have_one_text(written: list[tuple[str, Requirement]], random: object) -> None:
    selector = Selector.parse(",".join(text for text, _ in written))
    backwards = Selector.parse(",".join(text for text, _ in reversed(written)))
    assert str(selector) == str(backwards)
    assert Selector.parse(str(selector)) == selector


@given(st.text(alphabet="ab=!,() in\tnot", max_size=20))
def test_any_text_is_a_selector_or_says_where_it_is_wrong(text: str) -> None:
    position = 0
    try:
        Selector.parse(text)
    except SelectorError as error:
        position = error.position
    assert 0 <= position <= len(text)


def test_the_canonical_text_names_the_service_first() -> None:
    text = " release in (v2, v1) , !canary,zone!=b ,service = web, tier"
    assert str(Selector.parse(text)) == "service=web,!canary,release in (v1,v2),tier,zone!=b"


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("", 0, "at least one"),
        ("  ", 0, "at least one"),
        ("service=web,", 12, "name is missing"),
        ("service==web", 7, "one '='"),
        ("service=web release=v2", 12, "comma"),
        ("release in v1", 11, "parentheses"),
        ("release in (v1", 14, "closing"),
        ("release in (v1 v2)", 15, "comma"),
        ("release like v1", 8, "notin"),
        ("-release=v1", 0, "not a label's name"),
        ("release=-v1", 8, "not a label's value"),
        ("release=v1;", 10, "comma"),
        ("!", 1, "missing"),
        ("a" * 3000, 2048, "at the most"),
        (",".join("a" for _ in range(65)), 0, "at the most"),
    ],
)
def test_an_error_says_where_and_what_would_be_right(text: str, position: int, hint: str) -> None:
    with pytest.raises(SelectorError) as caught:
        Selector.parse(text)
    assert caught.value.position == position
    assert hint in str(caught.value)


def test_pairs_and_services_are_what_an_index_can_use() -> None:
    selector = Selector.parse("service in (a,b),release=v1,zone!=x,tier in (gold)")
    assert selector.pairs == (("release", "v1"), ("tier", "gold"))
    assert selector.services == ("a", "b")
    assert Selector.parse("release=v1").services is None


def test_an_instance_is_what_the_edge_says_and_its_labels() -> None:
    known = facts(
        service="web", zone="", agent="a1", labels={"release": "v1", "zone": "forged", "agent": "x"}
    )
    assert known == {"service": "web", "agent": "a1", "release": "v1"}
    assert facts(service="web", zone="z", agent="a1", labels={})["zone"] == "z"


def test_an_agent_may_have_a_longer_name_than_a_label_has_a_value() -> None:
    assert Selector.parse("agent=" + "a" * 128)
    with pytest.raises(SelectorError):
        Selector.parse("release=" + "a" * 64)
