"""The management API beyond loopback: over TLS, with a certificate that the edge makes, or one of the operator's."""

from __future__ import annotations

import json
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from .address import free_address
from .certificate import Certificate
from .programs import answers, backplane
from .stage import Edge, Stage


def edge_beyond(stage: Stage, *options: object, scheme: str = "https") -> Edge:
    """Start an edge whose API listens on every address of this machine."""
    public, tunnel, api = free_address(), free_address(), free_address()
    edge = Edge(
        "edge",
        "--api",
        f"0.0.0.0:{api.port}",
        *options,
        folder=stage.folder,
        data_dir=stage.folder / "edge-data",
        addresses=(public, tunnel, api),
        certificate=None,
        open_metrics=False,
    )
    edge.api_url = f"{scheme}://127.0.0.1:{api.port}"
    return stage.keep(edge)


def token(edge: Edge) -> str:
    """Return the edge's first token."""
    return (edge.data_dir / "admin-token").read_text().strip()


def test_clients_that_trust_the_edges_ca_get_there(stage: Stage, tool: Callable[[str], str]) -> None:
    edge = edge_beyond(stage, "--api-name", "console.localhost")
    authority = edge.data_dir / "ca.crt"
    port = edge.api.port
    config = stage.folder / "curl.conf"
    config.write_text(f'header = "Authorization: Bearer {token(edge)}"\n')
    for host in ("127.0.0.1", "localhost", "console.localhost"):
        where = ("--resolve", f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/v1/routes")
        asked = subprocess.run(
            [tool("curl"), "-sS", "--noproxy", "*", "--config", config, "--cacert", authority, *where],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert asked.returncode == 0, asked.stderr
        assert json.loads(asked.stdout) == {"items": [], "next_cursor": None}
    trusting = ssl.create_default_context(cafile=authority)
    with httpx.Client(base_url=edge.api_url, verify=trusting, trust_env=False) as client:
        assert client.get("/v1/routes").status_code == 401
        assert client.get("/readyz").status_code == 200
    assert f"https://0.0.0.0:{port}" in edge.stderr


def test_clients_that_do_not_trust_it_or_speak_clear_http_do_not(stage: Stage) -> None:
    edge = edge_beyond(stage)
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(edge.api_url, trust_env=False)
    with pytest.raises(httpx.TransportError):
        httpx.get(edge.api_url.replace("https", "http") + "/readyz", trust_env=False)


def test_commands_on_this_machine_trust_it_by_themselves(stage: Stage) -> None:
    edge = edge_beyond(stage)
    listed = subprocess.run(
        backplane("route", "list", "--data-dir", edge.data_dir, "--output", "json"),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout) == []


def test_clear_http_beyond_loopback_has_to_be_asked_for(stage: Stage) -> None:
    edge = edge_beyond(stage, "--api-insecure", scheme="http")
    assert answers(f"{edge.api_url}/readyz")
    assert httpx.get(f"{edge.api_url}/", headers={"Host": "evil.example"}, trust_env=False).status_code == 421
    assert "in the clear" in edge.stderr


def test_a_certificate_of_the_operators_is_served(stage: Stage) -> None:
    own = Certificate.make(stage.folder)
    edge = edge_beyond(stage, "--api-cert", own.chain, "--api-key", own.key)
    trusting = ssl.create_default_context(cafile=own.chain)
    assert httpx.get(f"{edge.api_url}/readyz", verify=trusting, trust_env=False).status_code == 200
    assert not Path(edge.data_dir / "api.crt").exists()
