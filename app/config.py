"""What an edge is told at its start: where it keeps its data, where it listens, and what it is called."""

from __future__ import annotations

import re
import ssl
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from backplane.cli.address import Address, AddressSetting
from backplane.cli.logs import LogFormat, LogLevel
from backplane.cli.settings import Spelling

from .database_url import DatabaseUrl
from .limits import BalanceSettings, PublicLimits, TunnelLimits

__all__ = ["EdgeSettings"]

DNS_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
SERVICE = re.compile(DNS_LABEL)
DNS_NAME = re.compile(rf"{DNS_LABEL}(?:\.{DNS_LABEL})*")


def _domain(value: str) -> str:
    domain = value.lower().rstrip(".")
    if len(domain) > 253 or not DNS_NAME.fullmatch(domain):
        raise ValueError(f"{value!r} is not a domain name")
    return domain


def _service(value: str) -> str:
    if not SERVICE.fullmatch(value):
        raise ValueError(
            f"{value!r} is not the name of a service: a-z, 0-9 and -, 63 characters at the most; nor auto, nor none"
        )
    return value


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _api_names(names: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for name in names:
        try:
            found.append(str(ip_address(name)))
        except ValueError:
            found.append(_domain(name))
        if found[-1].endswith(".internal"):
            raise ValueError(
                f"{name!r} is a name of the tunnels' own: give the one that clients use"
            ) from None
    return tuple(found)


def _dialable(address: Address | None) -> Address | None:
    if address is not None and (address.is_wildcard or address.port == 0):
        raise ValueError(f"{address} cannot be dialled: give the address at which agents reach this edge")
    return address


class EdgeSettings(PublicLimits, TunnelLimits, BalanceSettings):
    """The settings of `backplane edge`, beside the limits of its two ports and those of balancing.

    Port 0 means any free port.
    """

    data_dir: Path = Path("edge-data")
    """What belongs to this edge alone; no other edge may use it."""
    database_url: str | None = Field(default=None, repr=False)
    """postgresql://...; None: SQLite in the data directory."""
    database_password_file: Path | None = None
    """A file with the password for it."""
    identity_dir: Path | None = None
    """CA and tokens, which edges of a fleet share; None: in the data directory."""
    public: AddressSetting = Address("127.0.0.1", 8080)
    """Where public clients are served."""
    tunnel: AddressSetting = Address("127.0.0.1", 7443)
    """Where agents dial in."""
    api: AddressSetting = Address("127.0.0.1", 7000)
    """Where the management API answers."""
    api_name: Annotated[
        tuple[str, ...], BeforeValidator(_listed), AfterValidator(_api_names), Spelling("--api-name", ",")
    ] = ()
    """Names and addresses that clients call the management API by, beside the one it is bound to."""
    api_cert: Path | None = None
    """Certificate chain in PEM for the management API; None: beyond loopback one of the embedded CA."""
    api_key: Path | None = None
    """The certificate's private key in PEM, not encrypted."""
    api_insecure: bool = False
    """Whether the management API speaks clear HTTP beyond loopback, tokens and all."""
    open_metrics: bool = False
    """Whether /metrics is answered without a token."""
    advertise: Annotated[AddressSetting | None, AfterValidator(_dialable)] = None
    """Where agents reach the tunnel address from outside; None: as it is bound."""
    domain: Annotated[str, AfterValidator(_domain)] = "localhost"
    """A service without a route is found as `<service>.<domain>`."""
    zone: str = Field(default="", max_length=63)
    """Where this edge is; instances of the same zone are preferred."""
    default_service: Annotated[str, AfterValidator(_service)] = "auto"
    """What hosts that name no service get: a service, `auto` (the only one there is), or `none`."""
    public_cert: Path | None = None
    """Certificate chain in PEM with which the public is served TLS; None: clear HTTP."""
    public_key: Path | None = None
    """The certificate's private key in PEM, not encrypted."""
    drain_timeout: float = Field(default=30.0, gt=0, le=86_400, allow_inf_nan=False)
    """How long running requests may take to finish at the end, in seconds."""
    ping_interval: float = Field(default=25.0, gt=0, le=86_400, allow_inf_nan=False)
    """How long an agent may be silent before it is asked whether it is there, in seconds."""
    ping_timeout: float = Field(default=10.0, gt=0, le=86_400, allow_inf_nan=False)
    """How long each of two such PINGs may stay unanswered before its tunnel is given up, in seconds."""
    poll_interval: float = Field(default=60.0, ge=0.1, le=86_400, allow_inf_nan=False)
    """How long between two times that an agent is asked how its instances are, in seconds."""
    access_log: str = Field(default="-", min_length=1)
    """A file, `-` for stdout, or `none`."""
    log_level: LogLevel = "info"
    log_format: LogFormat = "auto"

    @property
    def api_is_tls(self) -> bool:
        """Whether the management API speaks TLS."""
        return self.api_cert is not None or not (self.api.is_loopback or self.api_insecure)

    @property
    def api_scheme(self) -> str:
        """How the URL of the management API begins."""
        return "https" if self.api_is_tls else "http"

    @property
    def identity_path(self) -> Path:
        """The directory with CA and tokens."""
        return self.identity_dir or self.data_dir

    @property
    def database(self) -> DatabaseUrl:
        """Where the configuration is kept."""
        if self.database_url is None:
            return DatabaseUrl.sqlite(self.data_dir)
        password = None
        if self.database_password_file is not None:
            password = self.database_password_file.read_text("utf-8").strip()
        return DatabaseUrl.parse(self.database_url, password=password)

    def advertised(self, bound: Address) -> Address:
        """Return what agents are to dial, given the address that the tunnel listener got."""
        return self.advertise or bound

    @model_validator(mode="after")
    def _database_can_be_read(self) -> Self:
        try:
            _ = self.database
        except OSError as error:
            raise ValueError(
                f"database_password_file {self.database_password_file}: {error.strerror or error}"
            ) from None
        return self

    @model_validator(mode="after")
    def _agents_can_dial(self) -> Self:
        if self.tunnel.is_wildcard and self.advertise is None:
            raise ValueError(
                f"tunnel {self.tunnel} listens on every address, but agents need one to dial:"
                " give --advertise HOST:PORT, BACKPLANE_ADVERTISE or the file's key `advertise`"
            )
        return self

    @model_validator(mode="after")
    def _certificates_work(self) -> Self:
        _check_pair("public", self.public_cert, self.public_key)
        _check_pair("api", self.api_cert, self.api_key)
        if self.api_insecure and self.api_cert is not None:
            raise ValueError("api_insecure is for an API without TLS: leave it out, or leave out --api-cert")
        return self


def _check_pair(port: str, certificate: Path | None, key: Path | None) -> None:
    if certificate is None and key is None:
        return
    if key is None:
        raise ValueError(f"{port}_cert {certificate} needs its key: give --{port}-key as well")
    if certificate is None:
        raise ValueError(f"{port}_key {key} needs its certificate: give --{port}-cert as well")
    for name, path in ((f"{port}_cert", certificate), (f"{port}_key", key)):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ValueError(f"{name} {path}: {error.strerror or error}") from None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            certificate, key, password=partial(_no_password, port)
        )
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).lower().replace("_", " ")
        raise ValueError(
            f"{port}_cert {certificate} and {port}_key {key} do not make a pair of PEM files: {reason}"
        ) from None


def _no_password(port: str) -> str:
    raise ValueError(
        f"{port}_key is encrypted: give it without a password, in a file that only the edge can read"
    )
