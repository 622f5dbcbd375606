"""The rules of policies."""

from __future__ import annotations

from app.database.models import PolicyRow, SettingRow
from app.management.context import Change, Work
from app.management.documents import DocumentService, document
from app.management.problem import Conflict, FieldProblem, Invalid
from app.management.versions import check_match
from edge.policies import PolicySpec

from .repository import DEFAULT_POLICIES, PolicyRepository, SettingRepository
from .schemas import Policy

__all__ = ["DefaultPolicyService", "PolicyService", "policy_row"]

NAMED_USERS = 5


def policy_row(spec: PolicySpec, change: Change) -> PolicyRow:
    """Make the row of a new policy."""
    return PolicyRow(
        name=spec.name, spec=document(spec), version=change.n, created=change.now, updated=change.now
    )


class PolicyService(DocumentService[PolicySpec, PolicyRow]):
    """Policies."""

    kind = "policy"
    spec_type = PolicySpec
    repository = PolicyRepository

    def new_row(self, spec: PolicySpec, change: Change) -> PolicyRow:
        """Make the row of a new policy."""
        return policy_row(spec, change)

    async def check(self, change: Change, spec: PolicySpec) -> None:
        """See that it compiles."""
        spec.compile()

    async def check_removal(self, change: Change, name: str) -> None:
        """See that nothing uses it."""
        users = await PolicyRepository(change.session).users(name, NAMED_USERS + 1)
        if users:
            more = ", ..." if len(users) > NAMED_USERS else ""
            raise Conflict(
                f"The policy {name!r} is used by {', '.join(users[:NAMED_USERS])}{more}.",
                code="policy_in_use",
                hint="Take it from those routes first.",
            )
        if name in await SettingRepository(change.session).value(DEFAULT_POLICIES, []):
            raise Conflict(
                f"The policy {name!r} is one of the default policies.",
                code="policy_in_use",
                hint="Take it from /v1/default_policies first.",
            )

    def view(self, row: PolicyRow) -> Policy:
        """Return a policy as the API shows it."""
        return Policy.model_validate(
            {**row.spec, "revision": row.version, "created": row.created, "updated": row.updated}
        )


class DefaultPolicyService:
    """The policies of discovered services."""

    kind = "setting"

    def __init__(self, work: Work) -> None:
        """Serve one request."""
        self.work = work

    async def get(self) -> tuple[list[str], int]:
        """Return their names, and the version."""
        async with self.work.read() as session:
            row = await SettingRepository(session).get(DEFAULT_POLICIES)
        return ([], 0) if row is None else (row.value, row.version)

    async def replace(self, policies: list[str], *, if_match: str | None) -> tuple[list[str], int]:
        """Set their names; return them and the version."""
        async with self.work.change() as change:
            row = await SettingRepository(change.session).get(DEFAULT_POLICIES)
            check_match(if_match, 0 if row is None else row.version, what="The list of default policies")
            await self.set(change, policies, row)
            row = await SettingRepository(change.session).get(DEFAULT_POLICIES)
        return policies, 0 if row is None else row.version

    async def set(self, change: Change, policies: list[str], row: SettingRow | None) -> None:
        """Set their names, if they are others, in a change."""
        before = [] if row is None else row.value
        if policies == before:
            return
        await self.check(change, policies)
        if row is None:
            change.session.add(
                SettingRow(key=DEFAULT_POLICIES, value=policies, version=change.n, updated=change.now)
            )
        else:
            row.value, row.version, row.updated = policies, change.n, change.now
        await change.session.flush()
        change.record("update", self.kind, DEFAULT_POLICIES, before=before, after=policies)

    async def check(self, change: Change, policies: list[str]) -> None:
        """See that they are there, each once. Raises Invalid."""
        there = {row.name for row in await PolicyRepository(change.session).named(policies)}
        wrong = [
            FieldProblem(
                field=f"policies[{index}]",
                detail=f"there is no policy {policy!r}"
                if policy not in there
                else f"{policy!r} is there twice",
            )
            for index, policy in enumerate(policies)
            if policy not in there or policy in policies[:index]
        ]
        if wrong:
            raise Invalid.from_fields(wrong)
