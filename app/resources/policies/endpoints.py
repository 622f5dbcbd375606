"""`/v1/policies` and `/v1/default_policies`."""

from __future__ import annotations

from fastapi import APIRouter, Response, status

from app.management.access import Editor, Viewer
from app.management.answers import created, ok, problems
from app.management.context import WorkOf
from app.management.names import NameInPath
from app.management.pages import PagingQuery, cursor_of
from app.management.versions import IfMatch, IfNoneMatch, tag, tag_new

from .schemas import DefaultPolicies, Policy, PolicyInput, PolicyPage, PolicyPatch, PolicyReplacement
from .service import DefaultPolicyService, PolicyService

__all__ = ["defaults", "router"]

router = APIRouter(prefix="/v1/policies", tags=["policies"])
_IN_USE = (
    "policy_in_use",
    "The policy 'office-only' is used by shop.",
    "Take it from those routes first.",
)
defaults = APIRouter(prefix="/v1/default_policies", tags=["policies"])


@router.get("", summary="List policies", responses=problems())
async def list_policies(work: WorkOf, _: Viewer, paging: PagingQuery) -> PolicyPage:
    """Answer with policies in the order of their names."""
    service = PolicyService(work)
    rows, more = await service.list(paging)
    return PolicyPage(
        items=[service.view(row) for row in rows], next_cursor=cursor_of(more.name) if more else None
    )


@router.post(
    "",
    summary="Create a policy",
    status_code=status.HTTP_201_CREATED,
    responses=created(Policy) | problems(409, 413, kind="policy"),
)
async def create_policy(work: WorkOf, _: Editor, body: PolicyInput, response: Response) -> Policy:
    """Add a policy. It does nothing until a route uses it."""
    service = PolicyService(work)
    row = await service.create(body.spec())
    tag_new(response, row.version, path=f"/v1/policies/{row.name}")
    return service.view(row)


@router.get("/{name:name}", summary="Get a policy", responses=ok() | problems(404, kind="policy"))
async def get_policy(work: WorkOf, _: Viewer, name: NameInPath, response: Response) -> Policy:
    """Answer with a policy and its ETag."""
    service = PolicyService(work)
    row = await service.get(name)
    tag(response, row.version)
    return service.view(row)


@router.put(
    "/{name:name}",
    summary="Create or replace a policy",
    responses=ok() | created(Policy) | problems(412, 413, kind="policy"),
)
async def replace_policy(
    work: WorkOf,
    _: Editor,
    name: NameInPath,
    body: PolicyReplacement,
    response: Response,
    if_match: IfMatch = None,
    if_none_match: IfNoneMatch = None,
) -> Policy:
    """Put a policy under its name. Doing it again changes nothing."""
    service = PolicyService(work)
    row, is_new = await service.replace(
        service.named(name, body), if_match=if_match, if_none_match=if_none_match
    )
    if is_new:
        tag_new(response, row.version, path=f"/v1/policies/{row.name}")
    else:
        tag(response, row.version)
    return service.view(row)


@router.patch(
    "/{name:name}",
    summary="Change parts of a policy",
    responses=ok() | problems(404, 412, 413, kind="policy"),
)
async def patch_policy(
    work: WorkOf, _: Editor, name: NameInPath, body: PolicyPatch, response: Response, if_match: IfMatch = None
) -> Policy:
    """Apply a JSON merge patch: what is not named stays as it is."""
    service = PolicyService(work)
    row = await service.patch(name, body.model_dump(exclude_unset=True), if_match=if_match)
    tag(response, row.version)
    return service.view(row)


@router.delete(
    "/{name:name}",
    summary="Delete a policy",
    status_code=status.HTTP_204_NO_CONTENT,
    responses=problems(404, 409, 412, kind="policy", conflict=_IN_USE),
)
async def delete_policy(work: WorkOf, _: Editor, name: NameInPath, if_match: IfMatch = None) -> None:
    """Take a policy away that nothing uses."""
    await PolicyService(work).delete(name, if_match=if_match)


@defaults.get("", summary="Get the policies of discovered services", responses=ok() | problems())
async def get_default_policies(work: WorkOf, _: Viewer, response: Response) -> DefaultPolicies:
    """Answer with the names of the policies that apply to `<service>.<domain>`."""
    policies, version = await DefaultPolicyService(work).get()
    tag(response, version)
    return DefaultPolicies(policies=policies)


@defaults.put(
    "", summary="Set the policies of discovered services", responses=ok() | problems(412, 413, kind="policy")
)
async def replace_default_policies(
    work: WorkOf, _: Editor, body: DefaultPolicies, response: Response, if_match: IfMatch = None
) -> DefaultPolicies:
    """Say which policies apply to `<service>.<domain>`, in this order."""
    policies, version = await DefaultPolicyService(work).replace(body.policies, if_match=if_match)
    tag(response, version)
    return DefaultPolicies(policies=policies)
