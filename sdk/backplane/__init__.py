"""Backplane for those who use it: a client of an edge's management API, and the `backplane` command.

    from backplane import Client

    with Client.local("edge-data") as client:
        for route in client.routes.list():
            print(route.name, route.host)

`Client` and `AsyncClient` are the two faces of one core. A call is data (`call`): what is sent, and how its answer is
understood; `calls` has one function for each thing that the API can do. The two clients only carry calls to an edge
and answers back, and try again where that is safe (`retry`). `resources` gives calls the shape of methods, `models`
are what goes in and comes out, `errors` what goes wrong. `cli` is the command.

Names are loaded when they are first used: the servers share the command, and have no use for an HTTP client.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .async_client import AsyncClient
    from .client import Client
    from .errors import (
        ApiError,
        BackplaneError,
        BadRequest,
        Conflict,
        EdgeUnreachable,
        EdgeUntrusted,
        FieldError,
        Forbidden,
        Invalid,
        NotFound,
        PreconditionFailed,
        RateLimited,
        ServerError,
        TokenUnusable,
        TooLarge,
        Unauthorized,
        Unavailable,
        UnexpectedAnswer,
        UnsupportedMedia,
    )
    from .models import (
        ApiToken,
        ApiTokenInput,
        ConfigChange,
        ConfigResult,
        CreatedToken,
        Drain,
        Edge,
        Event,
        ExplainedInstance,
        ExplainedTarget,
        Explanation,
        FieldEdits,
        HeaderMatch,
        HeadersRule,
        Instance,
        InstanceCount,
        IpRule,
        JoinToken,
        JoinTokenInput,
        OtherRule,
        Policy,
        QueryMatch,
        Question,
        Route,
        Service,
        SnapshotVersion,
        StreamedEvent,
        Target,
        Tunnel,
        Warned,
        ZoneCount,
    )
    from .retry import RetryPolicy

__all__ = [
    "ApiError",
    "ApiToken",
    "ApiTokenInput",
    "AsyncClient",
    "BackplaneError",
    "BadRequest",
    "Client",
    "ConfigChange",
    "ConfigResult",
    "Conflict",
    "CreatedToken",
    "Drain",
    "Edge",
    "EdgeUnreachable",
    "EdgeUntrusted",
    "Event",
    "ExplainedInstance",
    "ExplainedTarget",
    "Explanation",
    "FieldEdits",
    "FieldError",
    "Forbidden",
    "HeaderMatch",
    "HeadersRule",
    "Instance",
    "InstanceCount",
    "Invalid",
    "IpRule",
    "JoinToken",
    "JoinTokenInput",
    "NotFound",
    "OtherRule",
    "Policy",
    "PreconditionFailed",
    "QueryMatch",
    "Question",
    "RateLimited",
    "RetryPolicy",
    "Route",
    "ServerError",
    "Service",
    "SnapshotVersion",
    "StreamedEvent",
    "Target",
    "TokenUnusable",
    "TooLarge",
    "Tunnel",
    "Unauthorized",
    "Unavailable",
    "UnexpectedAnswer",
    "UnsupportedMedia",
    "Warned",
    "ZoneCount",
]

_HOMES = ("errors", "models", "retry", "client", "async_client")
"""Where names come from; what loads least goes first."""


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __name__)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
