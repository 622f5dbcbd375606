from __future__ import annotations

import json
import os
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.identity import DataDirectory, Identity, IdentityError, agent_command_line
from app.identity.authority import certificate_from_pem, key_to_pem, new_key
from app.identity.records import hash_admin_token
from backplane.cli.address import Address
from backplane.cli.exit import ExitCode
from h2s.token import JoinToken

NOW = datetime(2030, 1, 1, tzinfo=UTC)
SECRETS = ["admin-token", "ca.key", "edge.json", "edge.key", "join-token", "tokens.json"]


def load(data: Path, shared: Path | None = None, *, now: datetime = NOW) -> Identity:
    with DataDirectory.open(data) as directory:
        return Identity.load_or_create(directory, shared, now=now)


def failure(data: Path, shared: Path | None = None, *, now: datetime = NOW) -> str:
    with pytest.raises(IdentityError) as caught:
        load(data, shared, now=now)
    assert caught.value.exit_code is ExitCode.TRUST
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_first_start_makes_everything(data: Path) -> None:
    identity = load(data)
    assert identity.created
    assert identity.edge_id.startswith("edge-")
    assert identity.join_token == data / "join-token"
    assert identity.admin_token == data / "admin-token"
    (record,) = identity.tokens.join
    assert (record.services, record.labels, record.publish, record.expires) == (("*",), {}, True, None)
    assert record.created == NOW


def test_files_hold_hashes_of_the_tokens_and_not_the_tokens(data: Path) -> None:
    load(data)
    join = JoinToken.parse((data / "join-token").read_text())
    admin = (data / "admin-token").read_text().strip()
    stored = json.loads((data / "tokens.json").read_text())
    assert stored["join"][0]["sha256"] == join.secret_hash
    assert stored["admin"][0]["sha256"] == hash_admin_token(admin)
    assert admin not in json.dumps(stored)
    assert ssl.DER_cert_to_PEM_cert(join.ca_der) == (data / "ca.crt").read_text()


@pytest.mark.parametrize("name", SECRETS)
def test_secret_is_for_the_owner_alone(data: Path, name: str) -> None:
    load(data)
    assert stat.S_IMODE((data / name).stat().st_mode) == 0o600


def test_no_draft_is_left_behind(data: Path) -> None:
    load(data)
    known = {*SECRETS, "ca.crt", "edge.crt", "lock", "creation.lock"}
    assert {path.name for path in data.iterdir()} == known


def test_later_start_finds_the_same_identity(data: Path) -> None:
    first = load(data)
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    second = load(data)
    assert not second.created
    assert (second.edge_id, second.tokens) == (first.edge_id, first.tokens)
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_edges_of_a_fleet_share_authority_and_tokens_only(tmp_path: Path) -> None:
    shared = tmp_path / "fleet"
    one, two = load(tmp_path / "one", shared), load(tmp_path / "two", shared)
    assert (one.created, two.created) == (True, False)
    assert one.tokens == two.tokens
    assert one.edge_id != two.edge_id
    assert one.edge_key.read_bytes() != two.edge_key.read_bytes()
    assert {path.name for path in (tmp_path / "two").iterdir()} == {
        "edge.crt",
        "edge.json",
        "edge.key",
        "lock",
    }


def test_token_files_may_be_removed_once_they_have_served(data: Path) -> None:
    first = load(data)
    (data / "join-token").unlink()
    (data / "admin-token").unlink()
    second = load(data)
    assert (second.join_token, second.admin_token) == (None, None)
    assert second.tokens == first.tokens


@pytest.mark.parametrize("days", [0, 59])
def test_edge_certificate_is_kept_while_it_lasts(data: Path, days: int) -> None:
    before = load(data).edge_certificate.read_bytes()
    assert load(data, now=NOW + timedelta(days=days)).edge_certificate.read_bytes() == before


def test_edge_certificate_is_renewed_before_it_ends(data: Path) -> None:
    load(data)
    later = NOW + timedelta(days=61)
    renewed = certificate_from_pem(load(data, now=later).edge_certificate.read_bytes())
    assert renewed.not_valid_after_utc == later + timedelta(days=90)


def test_certificate_of_another_key_is_made_anew(data: Path) -> None:
    load(data)
    (data / "edge.key").write_bytes(key_to_pem(new_key()))
    identity = load(data)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(identity.edge_certificate, identity.edge_key)


def test_certificate_of_another_authority_is_made_anew(tmp_path: Path, data: Path) -> None:
    load(data, tmp_path / "one")
    before = (data / "edge.crt").read_bytes()
    identity = load(data, tmp_path / "two")
    assert identity.edge_certificate.read_bytes() != before
    issuer = certificate_from_pem(identity.ca_certificate.read_bytes())
    certificate_from_pem(identity.edge_certificate.read_bytes()).verify_directly_issued_by(issuer)


CREATION_ORDER = [
    "ca.key",
    "ca.crt",
    "join-token",
    "admin-token",
    "tokens.json",
    "edge.key",
    "edge.crt",
    "edge.json",
]


@pytest.mark.parametrize("survivors", range(len(CREATION_ORDER)))
def test_crash_at_any_point_of_the_first_start_heals(data: Path, survivors: int) -> None:
    load(data)
    for name in CREATION_ORDER[survivors:]:
        (data / name).unlink()
    kept = {
        name: (data / name).read_bytes()
        for name in CREATION_ORDER[:survivors]
        if not name.startswith("edge.")
    }
    identity = load(data)
    assert {name: (data / name).read_bytes() for name in kept} == kept
    join = JoinToken.parse((data / "join-token").read_text())
    assert [record.sha256 for record in identity.tokens.join] == [join.secret_hash]


@pytest.mark.parametrize("name", CREATION_ORDER)
@pytest.mark.parametrize("half", [True, False])
def test_damaged_file_is_named(data: Path, name: str, half: bool) -> None:
    load(data)
    file = data / name
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] if half else b"")
    assert failure(data).startswith(f"{file} is damaged (")


def test_missing_key_of_the_authority_is_named(data: Path) -> None:
    load(data)
    (data / "ca.key").unlink()
    assert failure(data) == f"{data / 'ca.key'} is missing, while its certificate is there"


def test_key_of_another_authority_is_noticed(data: Path) -> None:
    load(data)
    (data / "ca.key").write_bytes(key_to_pem(new_key()))
    assert failure(data) == f"{data / 'ca.crt'} is not the certificate of ca.key"


def test_join_token_of_another_authority_is_noticed(tmp_path: Path, data: Path) -> None:
    load(tmp_path / "other")
    load(data)
    (data / "join-token").write_bytes((tmp_path / "other" / "join-token").read_bytes())
    assert failure(data) == f"{data / 'join-token'} carries another CA than ca.crt"


def test_expired_authority_is_named(data: Path) -> None:
    load(data)
    assert failure(data, now=NOW + timedelta(days=3700)) == f"{data / 'ca.crt'} has expired"


def test_unknown_key_of_a_record_is_named(data: Path) -> None:
    load(data)
    stored = json.loads((data / "tokens.json").read_text())
    stored["join"][0]["servces"] = ["web"]
    (data / "tokens.json").write_text(json.dumps(stored))
    assert "join.0.servces" in failure(data)


def test_shared_directory_open_to_others_is_refused(tmp_path: Path, data: Path) -> None:
    shared = tmp_path / "fleet"
    shared.mkdir()
    shared.chmod(0o755)
    assert f"chmod 700 {shared}" in failure(data, shared)


def test_agent_command_line_is_quoted_for_a_shell() -> None:
    line = agent_command_line(Address("::1", 7443), Path("/a b/join-token"))
    assert line == (
        "backplane agent --edge '[::1]:7443' --token-file '/a b/join-token' --service web=http://127.0.0.1:3000"
    )


def test_lock_file_of_a_dead_process_means_nothing(data: Path) -> None:
    load(data)
    (data / "lock").write_text(f"{os.getpid()}\n")
    load(data)


def renew(data: Path, days: int, shared: Path | None = None) -> datetime | None:
    """Look at the certificate of an edge that runs, so many days after it was made."""
    with DataDirectory.open(data) as directory:
        identity = Identity.load_or_create(directory, shared, now=NOW)
        return identity.renew(directory, shared, now=NOW + timedelta(days=days))


def test_running_edge_keeps_a_certificate_that_lasts(data: Path) -> None:
    before = load(data).edge_certificate.read_bytes()
    assert renew(data, 59) is None
    assert (data / "edge.crt").read_bytes() == before


@pytest.mark.parametrize("apart", [False, True])
def test_running_edge_renews_a_certificate_that_ends_and_nothing_else(
    tmp_path: Path, data: Path, apart: bool
) -> None:
    shared = tmp_path / "fleet" if apart else None
    load(data, shared)
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert renew(data, 60, shared) == NOW + timedelta(days=150)
    changed = {path.name for path, content in kept.items() if path.read_bytes() != content}
    assert changed == {"edge.key", "edge.crt"}
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(data / "edge.crt", data / "edge.key")


def test_running_edge_makes_no_authority(tmp_path: Path, data: Path) -> None:
    shared = tmp_path / "fleet"
    with DataDirectory.open(data) as directory:
        identity = Identity.load_or_create(directory, shared, now=NOW)
        (shared / "ca.crt").unlink()
        with pytest.raises(IdentityError, match="is missing"):
            identity.renew(directory, shared, now=NOW + timedelta(days=60))
    assert not (shared / "ca.crt").exists()
