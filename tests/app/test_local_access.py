from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.identity import DataDirectory, Identity
from app.local_access import LOCAL_ACCESS, write_local_access
from backplane.cli.address import Address
from backplane.local import LocalAccess


def told(path: Path, *, api: str = "127.0.0.1:7000", tunnel: str = "127.0.0.1:7443") -> LocalAccess:
    """Return what commands on this machine make of what an edge has left."""
    with DataDirectory.open(path) as data:
        write_local_access(
            data,
            Identity.load_or_create(data, path.parent / "identity"),
            public="http://127.0.0.1:8080",
            tunnel=Address.parse(tunnel),
            api=Address.parse(api),
        )
    return LocalAccess.read(path)


def test_commands_find_addresses_and_tokens(tmp_path: Path) -> None:
    access = told(tmp_path / "data", api="127.0.0.1:7001")
    assert access.api == "http://127.0.0.1:7001"
    assert access.admin_token == tmp_path / "identity" / "admin-token"
    assert access.join_token == tmp_path / "identity" / "join-token"


@pytest.mark.parametrize(
    ("listening", "dialled"),
    [
        ("0.0.0.0:7443", "127.0.0.1:7443"),
        ("[::]:7443", "[::1]:7443"),
        ("edge.example:7443", "edge.example:7443"),
    ],
)
def test_address_is_one_that_can_be_dialled(tmp_path: Path, listening: str, dialled: str) -> None:
    access = told(tmp_path / "data", api=listening, tunnel=listening)
    assert access.api == f"http://{dialled}"
    assert access.tunnel == dialled


def test_it_has_no_secrets(tmp_path: Path) -> None:
    told(tmp_path / "data")
    text = (tmp_path / "data" / LOCAL_ACCESS).read_text()
    for name in ("admin-token", "join-token"):
        assert (tmp_path / "identity" / name).read_text().strip() not in text


@pytest.mark.parametrize("content", [None, "", "[]", "{", '{"api": 3}', '{"admin_token": null}'])
def test_data_directory_without_word_has_the_defaults(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / LOCAL_ACCESS).write_text(content)
    access = LocalAccess.read(tmp_path)
    assert (access.api, access.admin_token) == ("http://127.0.0.1:7000", tmp_path / "admin-token")
    assert json.loads(access.model_dump_json())["tunnel"] == "127.0.0.1:7443"
