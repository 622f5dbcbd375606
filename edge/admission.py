"""Who may register, and as what: a plain decision from the snapshot and the registry."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from h2s.messages import Hello, Refusal

from .registry import Conflict, Offer, Registry, Superseded
from .snapshot import JoinGrant, Snapshot

__all__ = ["Uncounted", "admit", "uncounted"]

DRAIN_RETRY_AFTER = 2.0
"""Seconds after which an agent may try a stopping edge again: it may be a restart."""
CONFLICT_RETRY_AFTER = 30.0
"""Seconds after which the agent's other tunnel may be gone."""
COUNT_RETRY_AFTER = 5.0
"""Seconds after which a new agent of a limited token may try again."""
USED_UP = "token_used_up"
RESERVED_LABELS = frozenset(("agent", "service", "zone"))
"""Keys that selectors take from what an instance is, not from what it says."""


@dataclass(frozen=True, slots=True)
class Uncounted:
    """The agent may register once it is counted: its token is good for some agents only, and this is a new one."""

    token_id: str


def admit(
    hello: Hello, *, snapshot: Snapshot, registry: Registry, now: float, draining: bool
) -> list[Offer] | Uncounted | Refusal:
    """Return the services the agent may serve, or why it may not register, or not yet.

    `now` is Unix time. What the agent serves is decided by its credential: labels of the token win over its own.
    """
    if draining:
        return _refuse(503, "draining", "This edge is stopping.", retry_after=DRAIN_RETRY_AFTER)
    grant = _find_grant(hello.credentials.join_secret, snapshot.grants)
    if grant is None:
        return _refuse(401, "token_unknown", "The join token is not known to this edge. Copy it again.")
    if grant.expires is not None and grant.expires <= now:
        return _refuse(401, "token_expired", "The join token has expired. Ask for a new one.")
    for service in hello.services:
        if not grant.allows(service.name):
            detail = f"The join token does not allow service {service.name!r}."
            return _refuse(403, "service_not_allowed", detail)
        if not RESERVED_LABELS.isdisjoint(service.labels):
            detail = f"Labels of service {service.name!r} may not be named agent, service or zone."
            return _refuse(400, "label_reserved", detail)
    offers = [
        Offer(
            service=service.name,
            labels={**service.labels, **grant.labels},
            publish=grant.publish,
            capacity=service.capacity,
            token_id=grant.token_id,
        )
        for service in hello.services
    ]
    try:
        registry.check(hello.agent_id, hello.generation, offers)
    except Superseded as error:
        return _refuse(409, "superseded", str(error))
    except Conflict as error:
        return _refuse(409, "conflict", str(error), retry_after=CONFLICT_RETRY_AFTER)
    if grant.max_agents is None or hello.agent_id in grant.agents:
        return offers
    if len(grant.agents) >= grant.max_agents:
        return uncounted(USED_UP)
    return Uncounted(grant.token_id)


def uncounted(reason: str) -> Refusal:
    """Return the refusal of an agent that was not counted: for good if `reason` is that its token is used up."""
    if reason == USED_UP:
        return _refuse(
            403, USED_UP, "The join token has let in as many agents as it is good for. Ask for another one."
        )
    return _refuse(
        503,
        "token_uncounted",
        "The use of the join token cannot be recorded just now.",
        retry_after=COUNT_RETRY_AFTER,
    )


def _find_grant(secret: str, grants: tuple[JoinGrant, ...]) -> JoinGrant | None:
    """Compare with every grant, so that the time taken says nothing about which is the nearest."""
    try:
        digest = hashlib.sha256(bytes.fromhex(secret)).hexdigest()
    except ValueError:
        return None
    found = None
    for grant in grants:
        if hmac.compare_digest(grant.secret_sha256, digest):
            found = grant
    return found


def _refuse(status: int, code: str, detail: str, *, retry_after: float | None = None) -> Refusal:
    return Refusal(
        title="Registration refused",
        status=status,
        detail=detail,
        code=code,
        permanent=retry_after is None,
        retry_after=retry_after,
    )
