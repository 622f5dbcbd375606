"""What an agent is told at its start: which edges to dial, what to serve, and how patient to be."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, InstanceOf, ValidationInfo

from backplane.cli.address import Address, AddressSetting
from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.logs import LogFormat, LogLevel
from backplane.cli.settings import Settings, SettingsError, Spelling
from h2s.messages import HealthCheck
from h2s.token import InvalidToken, JoinToken

from .address import Kind, Upstream
from .checks import CHECK_FORM, make_check

__all__ = ["AgentSettings", "read_token"]

RESERVED_LABELS = frozenset({"agent", "service", "zone"})
"""Keys that a selector reads from elsewhere."""
DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
LABEL_WORD = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
AGENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _services(value: object) -> object:
    """Bring `NAME=URL,URL` texts, or a table of NAME to URL or URLs, into one shape."""
    services: dict[str, tuple[Upstream, ...]] = {}
    for name, urls in _pairs(value, "NAME=URL, for example web=http://127.0.0.1:3000"):
        if not DNS_LABEL.fullmatch(name):
            raise ValueError(
                f"service name {name!r} is not a DNS label: a-z, 0-9 and -, 63 characters at the most"
            )
        if name in services:
            raise ValueError(
                f"service {name!r} is given twice: put its upstreams behind one name, with commas"
            )
        upstreams = tuple(Upstream(url) for url in _urls(name, urls))
        if len({upstream.kind is Kind.H2C for upstream in upstreams}) > 1:
            raise ValueError(f"service {name!r} mixes h2c with upstreams that speak HTTP/1.1")
        services[name] = upstreams
    if not services:
        raise ValueError("at least one service is needed")
    return services


def _urls(name: str, value: object) -> list[str]:
    urls = value.split(",") if isinstance(value, str) else value
    if not isinstance(urls, list) or not all(isinstance(url, str) for url in urls):
        raise ValueError(f"service {name!r} needs a URL or a list of URLs")
    stripped = [url.strip() for url in urls if url.strip()]
    if not stripped:
        raise ValueError(f"service {name!r} has no upstream")
    return stripped


def _checks(value: object) -> object:
    checks: dict[str, HealthCheck] = {}
    for name, check in _pairs(value, CHECK_FORM):
        if name in checks:
            raise ValueError(f"service {name!r} has two checks")
        checks[name] = make_check(name, check)
    return checks


def _of_services(checks: Mapping[str, HealthCheck], info: ValidationInfo) -> Mapping[str, HealthCheck]:
    services = info.data.get("services")
    for name in checks:
        if services is not None and name not in services:
            raise ValueError(f"there is no service {name!r} to check")
        if services is not None and checks[name].kind == "grpc" and services[name][0].kind is not Kind.H2C:
            raise ValueError(f"service {name!r} is checked by gRPC, but its upstreams are not h2c://")
    return checks


def _labels(value: object) -> object:
    labels: dict[str, str] = {}
    for key, text in _pairs(value, "KEY=VALUE, for example release=v2"):
        if key in RESERVED_LABELS:
            raise ValueError(f"label {key!r} is reserved: it says where an instance is, not what you call it")
        if key in labels:
            raise ValueError(f"label {key!r} is given twice")
        for word in (key, text):
            if not isinstance(word, str) or not LABEL_WORD.fullmatch(word):
                raise ValueError(f"label {key}={text}: {word!r} is not 1-63 letters, digits and . _ / -")
        labels[key] = str(text)
    return labels


def _pairs(value: object, form: str) -> Iterable[tuple[str, object]]:
    if isinstance(value, Mapping):
        return value.items()
    if not isinstance(value, list | tuple):
        raise ValueError(f"should be {form}")
    pairs = [str(item).partition("=") for item in value]
    for key, equals, text in pairs:
        if not equals or not key.strip() or not text.strip():
            raise ValueError(f"{key + equals + text!r} is not {form}")
    return [(key.strip(), text.strip()) for key, _, text in pairs]


def _dialable(edges: tuple[Address, ...]) -> tuple[Address, ...]:
    for edge in edges:
        if edge.port == 0 or edge.is_wildcard:
            raise ValueError(f"{edge} cannot be dialled: give the address at which the edge is reached")
    return edges


def _agent_id(value: str) -> str:
    if not AGENT_ID.fullmatch(value):
        raise ValueError(
            f"{value!r} is no agent id: letters, digits and . _ -, 63 at the most, the first a letter or a digit"
        )
    return value


def _default_agent_id() -> str:
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname().partition(".")[0]).strip("-")[:48]
    return f"{host or 'agent'}-{secrets.token_hex(3)}"


Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]


class AgentSettings(Settings):
    """The settings of `backplane agent`. Times are in seconds."""

    edges: Annotated[
        tuple[AddressSetting, ...], Field(min_length=1), AfterValidator(_dialable), Spelling("--edge", ",")
    ]
    """Where edges accept tunnels."""
    token_file: Path
    """The file with the join token."""
    services: Annotated[
        Mapping[str, tuple[InstanceOf[Upstream], ...]], BeforeValidator(_services), Spelling("--service", ";")
    ]
    """The upstreams of each service, by name; in a variable, services are separated by `;`."""
    checks: Annotated[
        Mapping[str, InstanceOf[HealthCheck]],
        BeforeValidator(_checks),
        AfterValidator(_of_services),
        Spelling("--check", ";"),
    ] = Field(default_factory=dict)
    """How the upstreams of each service are checked, by name; in a variable, checks are separated by `;`."""
    labels: Annotated[Mapping[str, str], BeforeValidator(_labels), Spelling("--label", ",")] = Field(
        default_factory=dict
    )
    """What selectors can pick this agent's instances by."""
    zone: str = Field(default="", max_length=63)
    """Where this agent is; edges of the same zone prefer it."""
    tunnels: int = Field(default=2, ge=1, le=16)
    """Tunnels held open to each edge."""
    agent_id: Annotated[str, AfterValidator(_agent_id), Spelling("--id")] = Field(
        default_factory=_default_agent_id
    )
    """Who this agent is to the edges, the same over restarts if given; else the host's name and a random suffix."""
    admin: AddressSetting | None = None
    """Where the agent answers health checks; nowhere by default."""
    capacity: int | None = Field(default=None, ge=1)
    """Requests that an instance takes at once, as a weight for balancing."""
    drain_timeout: Seconds = 30.0
    """How long running requests may take to finish at the end."""
    connect_timeout: Seconds = 10.0
    """How long dialling an edge may take, up to the end of the swap."""
    ping_interval: Seconds = 25.0
    """How long an edge may be silent before it is asked whether it is there."""
    ping_timeout: Seconds = 10.0
    """How long each of two such PINGs may stay unanswered before its tunnel is given up."""
    reconnect_delay: Seconds = 0.5
    """Bound of the wait before the first new try to open a tunnel; it doubles with each further one."""
    reconnect_max_delay: Seconds = 30.0
    """What that bound does not exceed."""
    reconnect_stable: Seconds = 5.0
    """How long a tunnel must have stood for its loss to be met like the first."""
    upstream_connect_timeout: Seconds = 5.0
    """How long connecting to an upstream may take."""
    upstream_response_timeout: Seconds = 60.0
    """How long an upstream may take from the request's end to the response's head."""
    upstream_ca: Path | None = None
    """Certificates, in a PEM file, that https upstreams are checked with instead of those the system trusts."""
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"


def read_token(path: Path) -> JoinToken:
    """Return the join token in a file.

    Raises:
        SettingsError: the file cannot be read.
        CommandError: what it holds is not a join token (exit code TRUST).
    """
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise SettingsError(f"token file {path}: {error.strerror or error}") from None
    try:
        return JoinToken.parse(text)
    except InvalidToken as error:
        raise CommandError(f"token file {path}: {error}", ExitCode.TRUST) from None
