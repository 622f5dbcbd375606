from __future__ import annotations

import asyncio
import shutil
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from cryptography import x509

from app import api_tls
from app.api_tls import ApiTls, api_names
from app.config import EdgeSettings
from app.identity import DataDirectory, Identity
from backplane.cli.address import Address
from tests.e2e.certificate import Certificate

START = datetime.now(UTC)
BEYOND = Address("192.0.2.1", 9443)


@pytest.fixture
def data(tmp_path: Path) -> Iterator[DataDirectory]:
    """A data directory."""
    with DataDirectory.open(tmp_path / "data") as data:
        yield data


def make(data: DataDirectory, now: Callable[[], datetime] = lambda: START, **changes: object) -> ApiTls:
    """Make the TLS of an API beyond loopback."""
    settings = EdgeSettings.model_validate({"data_dir": data.path, "api": BEYOND} | changes)
    return ApiTls(settings, Identity.load_or_create(data, now=START), data, now=now)


def names(data: DataDirectory) -> tuple[list[str], list[str]]:
    """Return the names and the addresses of the certificate in the directory."""
    certificate = x509.load_pem_x509_certificate(data.file("api.crt").read_bytes())
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = [str(one) for one in found.get_values_for_type(x509.IPAddress)]
    return found.get_values_for_type(x509.DNSName), addresses


def shown(tls: ApiTls, authority: Path, name: str) -> bytes:
    """Return the certificate that a client sees who trusts a CA and asks for a name. Raises ssl.SSLError."""
    trusting = ssl.create_default_context(cafile=authority)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = tls.context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(3):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = client.getpeercert(binary_form=True)
    assert found is not None
    return found


def test_the_ca_of_the_edge_makes_it_for_what_clients_call_the_api(data: DataDirectory) -> None:
    tls = make(data, api_name=["Console.Example", "198.51.100.7"])
    assert names(data) == (["console.example"], ["198.51.100.7", "192.0.2.1"])
    assert tls.authority == data.file("ca.crt")
    for name in ("console.example", "192.0.2.1"):
        assert shown(tls, data.file("ca.crt"), name)
    with pytest.raises(ssl.SSLError):
        shown(tls, data.file("ca.crt"), "edge.h2s.internal")
    assert data.file("api.key").stat().st_mode & 0o777 == 0o600


def test_an_api_on_every_address_has_the_names_of_this_machine(data: DataDirectory) -> None:
    make(data, api="0.0.0.0:9443", advertise="192.0.2.1:1")
    dns, addresses = names(data)
    assert "localhost" in dns
    assert {"127.0.0.1", "::1"} <= set(addresses)


def test_the_same_names_keep_it_and_others_make_another(data: DataDirectory) -> None:
    first = shown(make(data), data.file("ca.crt"), "192.0.2.1")
    assert shown(make(data), data.file("ca.crt"), "192.0.2.1") == first
    assert shown(make(data, api_name="console.example"), data.file("ca.crt"), "192.0.2.1") != first


@pytest.mark.parametrize(
    ("settings", "is_tls"),
    [
        ({"api": "127.0.0.1:1"}, False),
        ({"api": "[::1]:1"}, False),
        ({"api": "localhost:1"}, False),
        ({"api": "0.0.0.0:1"}, True),
        ({"api": "192.0.2.1:1"}, True),
        ({"api": "edge.example:1"}, True),
        ({"api": "192.0.2.1:1", "api_insecure": True}, False),
    ],
)
def test_beyond_loopback_it_is_tls_unless_that_is_refused_by_name(
    settings: dict[str, object], is_tls: bool
) -> None:
    assert EdgeSettings.model_validate(settings).api_is_tls is is_tls


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"api_cert": "a.pem"}, "api_cert a.pem needs its key: give --api-key as well"),
        ({"api_key": "a.pem"}, "api_key a.pem needs its certificate: give --api-cert as well"),
        ({"api_cert": "none.pem", "api_key": "none.pem"}, "api_cert none.pem: No such file"),
        ({"api_name": ["edge.h2s.internal"]}, "a name of the tunnels' own"),
        ({"api_name": ["a b"]}, "'a b' is not a domain name"),
    ],
)
def test_what_cannot_work_is_said(settings: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        EdgeSettings.model_validate(settings)


def test_a_certificate_of_ones_own_and_api_insecure_contradict_each_other(tmp_path: Path) -> None:
    own = Certificate.make(tmp_path)
    with pytest.raises(ValueError, match="api_insecure is for an API without TLS"):
        EdgeSettings(api_cert=own.chain, api_key=own.key, api_insecure=True)


def test_names_are_those_a_client_may_use() -> None:
    settings = EdgeSettings.model_validate({"api": "edge.example:1", "api_name": "a.example"})
    assert api_names(settings) == ["a.example", "edge.example"]


# -- while the edge runs ----------------------------------------------------------------------------------------------


async def look(tls: ApiTls, *, lines: list[object], count: int) -> None:
    """Keep it until the log has so many lines."""
    keeping = asyncio.create_task(tls.keep())
    async with asyncio.timeout(20):
        while len(lines) < count:  # noqa: ASYNC110 (the log is a list)
            await asyncio.sleep(0.001)
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look again and again."""
    monkeypatch.setattr(api_tls, "INTERVAL", 0.001)


@pytest.mark.usefixtures("quick")
def test_the_embedded_ones_are_renewed(data: DataDirectory) -> None:
    moment = START - timedelta(days=61)
    tls = make(data, now=lambda: moment)
    first = shown(tls, data.file("ca.crt"), "192.0.2.1")
    moment = START
    with structlog.testing.capture_logs() as lines:
        asyncio.run(look(tls, lines=lines, count=1))
    assert [line["event"] for line in lines] == ["the API's certificate is a new one"]
    assert shown(tls, data.file("ca.crt"), "192.0.2.1") != first


@pytest.mark.usefixtures("quick")
def test_files_that_are_replaced_are_shown_once_they_fit_together(
    data: DataDirectory, tmp_path: Path
) -> None:
    own = Certificate.make(tmp_path)
    (tmp_path / "next").mkdir()
    following = Certificate.make(tmp_path / "next")
    tls = make(data, api_cert=own.chain, api_key=own.key)
    assert tls.authority is None
    first = shown(tls, own.chain, "localhost")
    shutil.copy(own.chain, tmp_path / "before.crt")
    with structlog.testing.capture_logs() as lines:
        following.chain.replace(own.chain)
        asyncio.run(look(tls, lines=lines, count=1))
        assert shown(tls, tmp_path / "before.crt", "localhost") == first
        assert lines[-1]["log_level"] == "error"
        following.key.replace(own.key)
        asyncio.run(look(tls, lines=lines, count=len(lines) + 1))
    assert shown(tls, own.chain, "localhost") != first
