"""Why a request goes where it goes: the same decisions as for a real one, in words.

Nothing is sent. What is said of instances is true at this moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from .fieldset import check_authority
from .message import Request
from .policies import Chain
from .problem import Refusal
from .registry import Instance, Service
from .route import ValueMatch
from .routes import Route, Target
from .routes.conditions import header_check, method_of, query_check
from .routes.path import path_of
from .routes.tree import walk
from .routing import Destination, Router, host_of

__all__ = ["ExplainedInstance", "ExplainedTarget", "Explanation", "Question", "explain"]

MAX_INSTANCES = 20
"""Instances that are named of a target."""
MAX_REASONS = 50


def _check_host(host: str) -> str:
    try:
        check_authority(host.encode("ascii", "replace"))
    except Refusal as refusal:
        raise ValueError(refusal.detail) from None
    return host


FieldText = Annotated[str, Field(max_length=65536)]


class Question(BaseModel):
    """A request, as far as it decides where it goes."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"host": "shop.example.com", "path": "/cart?beta=1"}]},
    )

    method: Annotated[str, Field(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$")] = Field(
        default="GET", description="As a client would send it.", examples=["GET"]
    )
    scheme: Literal["http", "https"] = Field(default="https", description="How the client came.")
    host: Annotated[str, AfterValidator(_check_host), Field(max_length=512)] = Field(
        description="A host, with a port if a client would name it.", examples=["shop.example.com"]
    )
    path: Annotated[str, Field(pattern=r"^(/[!-~]*|\*)$", max_length=65536)] = Field(
        default="/",
        description="The path and the query, as a client would send them.",
        examples=["/cart?beta=1"],
    )
    headers: Annotated[tuple[tuple[FieldText, FieldText], ...], Field(max_length=256)] = Field(
        default=(), description="Header fields, each as name and value.", examples=[[["x-canary", "yes"]]]
    )
    client: str = Field(
        default="", max_length=256, description="The client's address.", examples=["192.0.2.1"]
    )

    def request(self) -> Request:
        """Return the request that is asked about."""
        return Request(
            method=self.method.encode(),
            scheme=self.scheme.encode(),
            authority=self.host.encode(),
            path=self.path.encode(),
            fields=[(name.lower().encode(), value.encode()) for name, value in self.headers],
            upgrade=None,
            version="1.1",
            peer=self.client,
            started=0.0,
            end_stream=True,
        )


_INSTANCE: dict[str, Any] = {
    "service": "web",
    "agent_id": "web-1",
    "zone": "eu-1",
    "in_flight": 3,
    "capacity": 100,
}
_TARGET: dict[str, Any] = {
    "name": "v1",
    "selector": "service=web,release=v1",
    "weight": 90,
    "share": 0.9,
    "instances": 1,
    "some": [_INSTANCE],
}


class ExplainedInstance(BaseModel):
    """An instance that a request may reach."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_INSTANCE]})

    service: str = Field(description="The service that it is one of.")
    agent_id: str = Field(description="The agent that it is at.")
    zone: str = Field(description="Where that is; empty if nobody said.")
    in_flight: int = Field(description="Requests that it has now.")
    capacity: int = Field(description="Requests that it takes at once.")


class ExplainedTarget(BaseModel):
    """One of the places a request may go to."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"examples": [_TARGET]})

    name: str = Field(description="The target's name.")
    selector: str = Field(description="Which instances it means.")
    weight: int = Field(description="Its weight in the route.")
    share: float = Field(description="Of the requests that come now, from 0 to 1.")
    instances: int = Field(description="Healthy instances that its selector picks.")
    some: tuple[ExplainedInstance, ...] = Field(description="The first of them.")


class Explanation(BaseModel):
    """Where a request would go, and why."""

    model_config = ConfigDict(
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "route": "shop",
                    "service": None,
                    "policies": ["office-only"],
                    "targets": [_TARGET],
                    "status": None,
                    "code": None,
                    "why": ["route 'shop' (host shop.example.com, path /): it serves"],
                }
            ]
        },
    )

    route: str | None = Field(default=None, description="The route that serves it.")
    service: str | None = Field(default=None, description="The discovered service that serves it.")
    policies: tuple[str, ...] = Field(default=(), description="The policies that apply, in their order.")
    targets: tuple[ExplainedTarget, ...] = Field(default=(), description="Where its requests go.")
    status: int | None = Field(default=None, description="What the edge answers itself, if it does.")
    code: str | None = Field(default=None, description="The reason for that, as in the answer.")
    why: tuple[str, ...] = Field(default=(), description="How it came to this, step by step.")


def explain(router: Router, question: Question) -> Explanation:
    """Say what would become of a request now."""
    request = question.request()
    try:
        destination, chain = router.find(request)
    except Refusal as refusal:
        return _refused(refusal, why=(refusal.detail,))
    why = tuple(_passed_over(router, request, destination))
    if destination is None:
        why = (*why, _no_service(router))
        return Explanation(status=404, code="no_route", why=why)
    if isinstance(destination, Route):
        why = (*why, f"{_describe(destination)}: it serves")
        targets = _targets(destination)
        policies = destination.policies
    else:
        assert isinstance(destination, Service)
        why = (*why, f"service {destination.name!r} is found by discovery")
        targets = (_service_target(destination),)
        policies = router.table.default_policies
    found = Explanation(
        route=destination.name if isinstance(destination, Route) else None,
        service=destination.name if isinstance(destination, Service) else None,
        policies=policies,
        targets=targets,
        why=why,
    )
    denied = _gate(chain, request)  # which may change its head
    if denied is not None:
        return _refused(denied, why=(*why, denied.detail), found=found)
    if not any(target.share for target in targets):
        why = (*why, f"no healthy instance of {destination} is there")
        return found.model_copy(update={"status": 503, "code": "no_healthy_instance", "why": why})
    return found


def _passed_over(router: Router, request: Request, destination: Destination | None) -> Iterable[str]:
    """Say of each more specific route of this host and path why it does not serve."""
    count = 0
    for root in router.table.roots(host_of(request.authority)):
        for node in walk(root, path_of(request.path)):
            for route in node.routes:
                if route is destination or count == MAX_REASONS:
                    return
                count += 1
                yield f"{_describe(route)}: passed over, since {_obstacle(route, request)}"


def _obstacle(route: Route, request: Request) -> str:
    """Return the first condition that does not hold."""
    if route.methods is not None and method_of(request) not in route.methods:
        return f"the method is not {_any_of(sorted(method.decode() for method in route.methods))}"
    for header in route.headers:
        if not header_check(header)(request):
            return f"header {header.name} {_wanted(header)}"
    for query in route.query:
        if not query_check(query)(request):
            return f"query parameter {query.name} {_wanted(query)}"
    return "another is more specific"


def _wanted(match: ValueMatch) -> str:
    if match.exact is not None:
        return f"is not {match.exact!r}"
    if match.prefix is not None:
        return f"does not start with {match.prefix!r}"
    return "is not there" if match.present else "is there"


def _any_of(names: list[str]) -> str:
    return " or ".join(names)


def _describe(route: Route) -> str:
    priority = f", priority {route.priority}" if route.priority else ""
    return f"route {route.name!r} (host {route.host}, path {route.path}{priority})"


def _no_service(router: Router) -> str:
    return f"no route matches, and discovery finds no service ({router.discovery})"


def _targets(route: Route) -> tuple[ExplainedTarget, ...]:
    open_targets = [target for target in route.targets if target.weight and target.pool.candidates.all]
    total = sum(target.weight for target in open_targets)
    return tuple(
        _target(target, target.weight / total if target in open_targets else 0.0) for target in route.targets
    )


def _target(target: Target, share: float) -> ExplainedTarget:
    instances = target.pool.candidates.all
    return ExplainedTarget(
        name=target.name,
        selector=str(target.pool.selector),
        weight=target.weight,
        share=share,
        instances=len(instances),
        some=_some(instances),
    )


def _service_target(service: Service) -> ExplainedTarget:
    return ExplainedTarget(
        name=service.name,
        selector=f"service={service.name}",
        weight=1,
        share=1.0 if service.all else 0.0,
        instances=len(service.all),
        some=_some(service.all),
    )


def _some(instances: list[Instance]) -> tuple[ExplainedInstance, ...]:
    return tuple(
        ExplainedInstance(
            service=instance.service,
            agent_id=instance.agent.agent_id,
            zone=instance.agent.zone,
            in_flight=instance.in_flight,
            capacity=instance.capacity,
        )
        for instance in instances[:MAX_INSTANCES]
    )


def _gate(chain: Chain | None, request: Request) -> Refusal | None:
    if chain is not None:
        try:
            chain.enter(request)
        except Refusal as refusal:
            return refusal
    return None


def _refused(refusal: Refusal, *, why: tuple[str, ...], found: Explanation | None = None) -> Explanation:
    update = {"status": refusal.status, "code": refusal.code, "why": why}
    return (found or Explanation()).model_copy(update=update)
