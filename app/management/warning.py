"""What works, but may not be meant so: it is said in the answer, and refuses nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from edge.port import InstanceState
from edge.selector import Selector, facts

__all__ = ["ApiWarning", "facts_of", "selector_warnings"]


class ApiWarning(BaseModel):
    """Something suspicious."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "code": "matches_nothing",
                    "field": "targets[1].selector",
                    "detail": "no instance matches service=web,release=v2 now",
                }
            ]
        }
    )

    code: str = Field(description="What it is, for programs.", examples=["matches_nothing"])
    field: str = Field(description="The path of the field.", examples=["targets[0].selector"])
    detail: str = Field(description="What it is, for people.")


def facts_of(instance: InstanceState) -> dict[str, str]:
    """Return what a selector sees of an instance."""
    return facts(
        service=instance.service, zone=instance.zone, agent=instance.agent_id, labels=instance.labels
    )


def selector_warnings(
    selectors: Iterable[tuple[str, str]], instances: Sequence[InstanceState]
) -> list[ApiWarning]:
    """Look at selectors, each with the path of its field, beside the instances that there are."""
    known = [facts_of(instance) for instance in instances]
    index: defaultdict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for one in known:
        for pair in one.items():
            index[pair].append(one)
    warnings = []
    for field, text in selectors:
        services = _services(Selector.parse(text), known, index)
        if not services:
            warnings.append(
                ApiWarning(code="matches_nothing", field=field, detail=f"no instance matches {text} now")
            )
        elif len(services) > 1:
            named = ", ".join(services[:5])
            warnings.append(
                ApiWarning(
                    code="matches_several_services",
                    field=field,
                    detail=f"{text} matches instances of several services: {named}",
                )
            )
    return warnings


def _services(
    selector: Selector, known: Sequence[dict[str, str]], index: Mapping[tuple[str, str], list[dict[str, str]]]
) -> list[str]:
    """Return the services that a selector picks from, having looked at the fewest instances that it takes."""
    some = min((index.get(pair, []) for pair in selector.pairs), key=len, default=known)
    if selector.services is not None and len(selector.services) == 1:
        return list(selector.services) if any(map(selector.matches, some)) else []
    return sorted({one["service"] for one in some if selector.matches(one)})
