"""The rules of routes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from app.database.models import RouteRow
from app.management.context import Change
from app.management.documents import DocumentService, document
from app.management.problem import FieldProblem, Invalid
from app.management.warning import ApiWarning, selector_warnings
from edge.route import RouteSpec

from .repository import RouteRepository
from .schemas import Route

__all__ = ["RouteService", "match_key", "route_row"]


def match_key(spec: RouteSpec) -> str | None:
    """Return a hash of what an enabled route matches."""
    if not spec.enabled:
        return None
    *plain, headers, query = spec.key
    text = json.dumps([*plain, [one.model_dump() for one in headers], [one.model_dump() for one in query]])
    return hashlib.sha256(text.encode()).hexdigest()


def route_row(spec: RouteSpec, change: Change) -> RouteRow:
    """Make the row of a new route."""
    return RouteRow(
        name=spec.name,
        host=spec.host,
        match_key=match_key(spec),
        spec=document(spec),
        version=change.n,
        created=change.now,
        updated=change.now,
    )


class RouteService(DocumentService[RouteSpec, RouteRow]):
    """Routes."""

    kind = "route"
    spec_type = RouteSpec
    repository = RouteRepository

    async def set_weights(self, name: str, weights: Mapping[str, int], *, if_match: str | None) -> RouteRow:
        """Shift traffic between a route's targets in one step."""
        async with self.work.change() as change:
            row = await self._required(change, name, if_match)
            spec = RouteSpec.model_validate(row.spec)
            known = {target.name for target in spec.targets}
            unknown = [
                FieldProblem(
                    field=target,
                    detail=f"the route has no target of this name; it has {', '.join(sorted(known))}",
                )
                for target in weights
                if target not in known
            ]
            if unknown:
                raise Invalid.from_fields(unknown)
            content = document(spec)
            for target in content["targets"]:
                target["weight"] = weights.get(target["name"], target["weight"])
            await self.update(change, self.validated(content), row)
            return row

    def new_row(self, spec: RouteSpec, change: Change) -> RouteRow:
        """Make the row of a new route."""
        return route_row(spec, change)

    async def check(self, change: Change, spec: RouteSpec) -> None:
        """See that its policies are there, and that no other route matches the same."""
        routes = RouteRepository(change.session)
        if spec.policies:
            there = await routes.policies(spec.policies)
            absent = [
                FieldProblem(field=f"policies[{index}]", detail=f"there is no policy {policy!r}")
                for index, policy in enumerate(spec.policies)
                if policy not in there
            ]
            if absent:
                raise Invalid.from_fields(absent)
        key = match_key(spec)
        twin = await routes.with_key(key) if key is not None else None
        if twin is not None and twin != spec.name:
            raise identical(twin)

    async def stored(self, change: Change, spec: RouteSpec, row: RouteRow) -> None:
        """Keep what it is found by."""
        row.host, row.match_key = spec.host, match_key(spec)
        await change.session.flush()
        await RouteRepository(change.session).attach(row.name, spec.policies)

    # -- answers -------------------------------------------------------------------------------------------------------

    def view(self, row: RouteRow, *, warn: bool = False) -> Route:
        """Return a route as the API shows it."""
        return Route.model_validate(
            {
                **row.spec,
                "version": row.version,
                "created": row.created,
                "updated": row.updated,
                "warnings": self.warnings(row) if warn else [],
            }
        )

    def warnings(self, row: RouteRow) -> list[ApiWarning]:
        """Return what may not be meant so."""
        targets = row.spec["targets"]
        selectors = ((f"targets[{index}].selector", one["selector"]) for index, one in enumerate(targets))
        return selector_warnings(selectors, self.work.management.state.instances)


def identical(other: str, *, field: str = "") -> Invalid:
    """Return the error of a route that matches exactly what another does."""
    prefix = f"{field}." if field else ""
    return Invalid(
        f"The route {other!r} has the same host, path, priority and conditions: one of them would get nothing.",
        code="identical_routes",
        hint=f"Change {other!r} instead, or give one of them another priority or condition.",
        errors=[FieldProblem(field=f"{prefix}host", detail=f"identical with the route {other!r}")],
    )
