"""Where an edge's API is and how it is spoken to: what both clients make their connections from."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from .call import Answer, Call
from .errors import BackplaneError, EdgeUnreachable, EdgeUntrusted, TokenUnusable
from .local import LOCAL_URL, LocalAccess

__all__ = ["Endpoint", "read_token", "translated"]

CONNECT_TIMEOUT = 5.0
MAX_TOKEN = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An edge's API, and the token to use there."""

    url: str
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    """Certificates to trust in place of the system's."""
    verify: bool = True
    """False trusts whatever answers: for a look at a broken installation, never for good."""
    timeout: float = 30.0
    """Seconds for an edge to say something."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        try:
            httpx.URL(self.url)
            _ = parts.port
        except (httpx.InvalidURL, ValueError) as error:
            raise ValueError(f"{self.url!r} is not a URL: {error}") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.url!r} is not a URL of an edge's API, such as {LOCAL_URL}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("the URL of an edge's API has no user, no query and no fragment")
        if self.token is not None:
            if (
                not self.token
                or not self.token.isascii()
                or not self.token.isprintable()
                or " " in self.token
            ):
                raise TokenUnusable(
                    "this is not a token: it is empty, or has blanks or other strange characters"
                )
            if parts.scheme == "http" and not is_loopback(parts.hostname):
                raise TokenUnusable(
                    f"the token would go to {parts.hostname} in the clear: use https, or a tunnel to its loopback"
                )

    def options(self) -> dict[str, Any]:
        """Return the arguments of an httpx client."""
        headers = {"User-Agent": f"backplane/{_version()}", "Accept": "application/json"}
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        parts = urlsplit(self.url)
        return {
            "base_url": self.url.rstrip("/"),
            "headers": headers,
            "timeout": httpx.Timeout(self.timeout, connect=min(self.timeout, CONNECT_TIMEOUT)),
            "verify": self._context() if parts.scheme == "https" else False,  # which loads no certificates
            # A proxy of the environment is for the world outside.
            "trust_env": not is_loopback(parts.hostname or ""),
        }

    def _context(self) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise BackplaneError(f"certificates to trust, {self.ca_file}: {_reason(error)}") from None
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    @classmethod
    def local(cls, data_dir: Path, *, url: str | None = None) -> Endpoint:
        """Return the API of an edge on this machine, by its data directory. Raises TokenUnusable."""
        access = LocalAccess.read(data_dir)
        return cls(url=url or access.api, token=read_token(access.admin_token), ca_file=access.ca)


def request(client: Any, call: Call[Any]) -> httpx.Request:
    """Return a call as httpx sends it; `client` is either of its clients."""
    patience = call.patience
    limits = {} if patience is None else {"timeout": httpx.Timeout(patience, connect=CONNECT_TIMEOUT)}
    built: httpx.Request = client.build_request(
        call.method,
        call.path,
        params=call.parameters() or None,
        headers=call.headers,
        content=call.body,
        **limits,
    )
    return built


def answer(response: httpx.Response) -> Answer:
    """Return what httpx brought back."""
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status_code, headers, response.content)


@contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise errors of ours in place of httpx's."""
    try:
        yield
    except httpx.HTTPError as error:
        raise _translate(error, url) from error
    except httpx.InvalidURL as error:
        raise BackplaneError(f"this cannot be asked for: {error}") from None


def _translate(error: httpx.HTTPError, url: str) -> EdgeUnreachable:
    reason = _reason(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return EdgeUntrusted(f"the certificate of {url} is not to be trusted: {cause.verify_message}")
        cause = cause.__cause__ or cause.__context__
    unsent = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout))
    if isinstance(error, httpx.TimeoutException):
        reason = "no connection in time" if unsent else "no answer in time"
    return EdgeUnreachable(f"{url}: {reason}", sent=not unsent)


def read_token(path: Path) -> str:
    """Return the token that a file has. Raises TokenUnusable."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TOKEN + 1)
    except OSError as error:
        raise TokenUnusable(f"token file {path}: {_reason(error)}") from None
    try:
        token = content.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not token or len(content) > MAX_TOKEN or "\n" in token:
        raise TokenUnusable(f"token file {path} does not have one token and nothing else")
    return token


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    text = text.removeprefix("[Errno ").partition("] ")[2] if text.startswith("[Errno ") else text
    return text or type(error).__name__


def _version() -> str:
    try:
        return version("backplane")
    except PackageNotFoundError:
        return "0"
