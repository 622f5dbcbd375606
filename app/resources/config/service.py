"""The rules of whole configurations: what a document changes, and making it so in one step."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.database.models import PolicyRow, RouteRow
from app.management.context import Change, Work
from app.management.documents import document
from app.management.problem import FieldProblem, Invalid
from app.management.versions import check_match
from app.management.warning import ApiWarning, selector_warnings
from app.resources.policies.repository import DEFAULT_POLICIES, SettingRepository
from app.resources.policies.service import DefaultPolicyService
from app.resources.routes.service import identical, match_key
from edge.policies import PolicySpec
from edge.route import RouteSpec

from .repository import BulkRepository
from .schemas import ConfigChange, ConfigDocument, ConfigResult

__all__ = ["ConfigService"]

MAX_WARNINGS = 100
WARNED_ROUTES = 1000
"""Changed routes whose selectors are looked at."""


@dataclass(slots=True)
class Plan:
    """What a document changes."""

    routes: dict[str, RouteSpec] = field(default_factory=dict)
    """Those that are new or other than before."""
    policies: dict[str, PolicySpec] = field(default_factory=dict)
    default_policies: list[str] | None = None
    changes: list[ConfigChange] = field(default_factory=list)
    unchanged: int = 0
    warnings: list[ApiWarning] = field(default_factory=list)

    def named(self, action: str, kind: str) -> list[str]:
        """Return the names of what is changed so."""
        return [one.name for one in self.changes if (one.action, one.kind) == (action, kind)]


class ConfigService:
    """The configuration as one document."""

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    async def export(self) -> tuple[dict[str, Any], int]:
        """Return the document, without what is as by default, and its version."""
        async with self.work.read() as session:
            bulk = BulkRepository(session)
            version = await bulk.version()
            policies = await bulk.specs(PolicyRow)
            routes = await bulk.specs(RouteRow)
            defaults = await SettingRepository(session).value(DEFAULT_POLICIES, [])
        content = {
            "version": 1,
            "policies": [_brief(PolicySpec.model_validate(spec)) for spec in policies.values()],
            "default_policies": defaults,
            "routes": [_brief(RouteSpec.model_validate(spec)) for spec in routes.values()],
        }
        return content, version

    async def apply(self, content: Any, *, dry_run: bool, if_match: str | None) -> ConfigResult:
        """Make the configuration what a document says, in one step, or say what that would change."""
        wanted = await asyncio.to_thread(_validated, content)
        if dry_run:
            async with self.work.read() as session:
                version = await BulkRepository(session).version()
                check_match(if_match, version, what="The configuration")
                plan = await self._plan(session, wanted)
        else:
            async with self.work.change() as change:
                version = change.n - 1
                check_match(if_match, version, what="The configuration")
                plan = await self._plan(change.session, wanted)
                await self._carry_out(change, plan)
                version = version if change.is_empty else change.n
        return ConfigResult(
            dry_run=dry_run,
            version=version,
            changes=plan.changes,
            unchanged=plan.unchanged,
            warnings=plan.warnings,
        )

    async def _plan(self, session: AsyncSession, wanted: ConfigDocument) -> Plan:
        bulk = BulkRepository(session)
        policies, routes = await bulk.specs(PolicyRow), await bulk.specs(RouteRow)
        defaults: list[str] = await SettingRepository(session).value(DEFAULT_POLICIES, [])
        plan = await asyncio.to_thread(_compare, wanted, policies, routes, defaults)
        selectors = [
            (f"routes.{spec.name}.targets[{index}].selector", target.selector)
            for spec in list(plan.routes.values())[:WARNED_ROUTES]
            for index, target in enumerate(spec.targets)
        ]
        instances = self.work.management.state.instances
        plan.warnings = selector_warnings(selectors, instances)[:MAX_WARNINGS]
        return plan

    async def _carry_out(self, change: Change, plan: Plan) -> None:
        """Write a plan, in an order in which everything that is named is there."""
        bulk = BulkRepository(change.session)
        stamp = {"version": change.n, "updated": change.now}
        policies = {
            name: {"name": name, "spec": document(spec), **stamp} for name, spec in plan.policies.items()
        }
        routes = {
            name: {
                "name": name,
                "host": spec.host,
                "match_key": match_key(spec),
                "spec": document(spec),
                **stamp,
            }
            for name, spec in plan.routes.items()
        }
        await bulk.replace(PolicyRow, [policies[name] for name in plan.named("update", "policy")])
        await bulk.add(
            PolicyRow, [{**policies[name], "created": change.now} for name in plan.named("create", "policy")]
        )
        updated = plan.named("update", "route")
        await bulk.free_keys(updated)
        await bulk.remove(RouteRow, plan.named("delete", "route"))
        await bulk.replace(RouteRow, [routes[name] for name in updated])
        await bulk.add(
            RouteRow, [{**routes[name], "created": change.now} for name in plan.named("create", "route")]
        )
        await bulk.attach({name: spec.policies for name, spec in plan.routes.items()})
        if plan.default_policies is not None:
            row = await SettingRepository(change.session).get(DEFAULT_POLICIES)
            await DefaultPolicyService(self.work).set(change, plan.default_policies, row)
        await bulk.remove(PolicyRow, plan.named("delete", "policy"))
        for one in plan.changes:
            if one.kind != "setting":
                change.record(one.action, one.kind, one.name, before=one.before, after=one.after)


def _brief(spec: RouteSpec | PolicySpec) -> dict[str, Any]:
    return spec.model_dump(mode="json", exclude_defaults=True)


def _validated(content: Any) -> ConfigDocument:
    if not isinstance(content, dict):
        raise Invalid.of("", "a configuration is an object with routes, policies and default_policies")
    try:
        return ConfigDocument.model_validate(content)
    except ValidationError as error:
        raise Invalid.from_validation(error) from None


def _compare(
    wanted: ConfigDocument,
    policies: dict[str, dict[str, Any]],
    routes: dict[str, dict[str, Any]],
    defaults: list[str],
) -> Plan:
    """Return what a document changes. Raises Invalid if what comes of it cannot work."""
    _check_names("policies", wanted.policies or [])
    _check_names("routes", wanted.routes or [])
    plan = Plan()
    there = set(policies) if wanted.policies is None else {one.name for one in wanted.policies}
    final_defaults = defaults if wanted.default_policies is None else wanted.default_policies
    _check_policies(wanted, routes, there, final_defaults)
    _check_twins(wanted)
    plan.policies = _differing("policy", wanted.policies, policies, plan)
    plan.routes = _differing("route", wanted.routes, routes, plan)
    if final_defaults != defaults:
        plan.default_policies = final_defaults
        plan.changes.append(
            ConfigChange(
                action="update", kind="setting", name=DEFAULT_POLICIES, before=defaults, after=final_defaults
            )
        )
    return plan


def _differing(
    kind: Literal["route", "policy"],
    wanted: Sequence[Any] | None,
    known: dict[str, dict[str, Any]],
    plan: Plan,
) -> dict[str, Any]:
    if wanted is None:
        plan.unchanged += len(known)
        return {}
    differing = {}
    for spec in wanted:
        before, after = known.get(spec.name), document(spec)
        if before == after:
            plan.unchanged += 1
            continue
        differing[spec.name] = spec
        action: Literal["create", "update"] = "create" if before is None else "update"
        plan.changes.append(
            ConfigChange(action=action, kind=kind, name=spec.name, before=before, after=after)
        )
    kept = {spec.name for spec in wanted}
    plan.changes += [
        ConfigChange(action="delete", kind=kind, name=name, before=spec, after=None)
        for name, spec in known.items()
        if name not in kept
    ]
    return differing


def _check_names(part: str, specs: Iterable[Any]) -> None:
    seen: set[str] = set()
    wrong = []
    for index, spec in enumerate(specs):
        if spec.name in seen:
            wrong.append(FieldProblem(field=f"{part}[{index}].name", detail=f"{spec.name!r} is there twice"))
        seen.add(spec.name)
    if wrong:
        raise Invalid.from_fields(wrong)


def _check_policies(
    wanted: ConfigDocument, routes: dict[str, dict[str, Any]], there: set[str], defaults: Sequence[str]
) -> None:
    """See that every policy that is used is there."""
    used: list[tuple[str, Sequence[str]]] = [("default_policies", defaults)]
    if wanted.routes is not None:
        used += [(f"routes[{index}].policies", spec.policies) for index, spec in enumerate(wanted.routes)]
    else:
        used += [(f"routes.{name}.policies", spec["policies"]) for name, spec in routes.items()]
    wrong = [
        FieldProblem(field=f"{where}[{index}]", detail=f"there is no policy {policy!r}")
        for where, policies in used
        for index, policy in enumerate(policies)
        if policy not in there
    ]
    if len(set(defaults)) != len(defaults):
        wrong.append(FieldProblem(field="default_policies", detail="a policy is there twice"))
    if wrong:
        raise Invalid.from_fields(wrong)


def _check_twins(wanted: ConfigDocument) -> None:
    """See that no two routes match the same."""
    keys: dict[str, str] = {}
    for index, spec in enumerate(wanted.routes or []):
        key = match_key(spec)
        if key is None:
            continue
        if key in keys:
            raise identical(keys[key], field=f"routes[{index}]")
        keys[key] = spec.name
