from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from app.identity.authority import (
    EDGE_NAME,
    Authority,
    EdgeCertificate,
    certificate_to_pem,
    key_to_pem,
    new_key,
)

NOW = datetime.now(UTC).replace(microsecond=0)
AUTHORITY = Authority.create(now=NOW)


def handshake(issued: EdgeCertificate, *, trusted: Authority, name: str, folder: Path) -> None:
    """Let a client that trusts one CA meet a server with `issued`, in memory. Raises ssl.SSLError."""
    certificate, key = folder / "edge.crt", folder / "edge.key"
    certificate.write_bytes(certificate_to_pem(issued.certificate))
    key.write_bytes(key_to_pem(issued.key))
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate, key)
    client_context = ssl.create_default_context(cadata=certificate_to_pem(trusted.certificate).decode())
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(down, up, server_hostname=name)
    server = server_context.wrap_bio(up, down, server_side=True)
    waiting = [client, server]
    while waiting:
        side = waiting.pop(0)
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            waiting.append(side)


def test_edge_is_trusted_under_its_fixed_name_by_strict_clients(tmp_path: Path) -> None:
    handshake(AUTHORITY.issue_edge(now=NOW), trusted=AUTHORITY, name=EDGE_NAME, folder=tmp_path)


def test_edge_is_not_trusted_under_another_name(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        handshake(AUTHORITY.issue_edge(now=NOW), trusted=AUTHORITY, name="localhost", folder=tmp_path)


def test_edge_of_another_authority_is_not_trusted(tmp_path: Path) -> None:
    stranger = Authority.create(now=NOW)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(stranger.issue_edge(now=NOW), trusted=AUTHORITY, name=EDGE_NAME, folder=tmp_path)


def test_authority_may_sign_certificates_and_nothing_below_them() -> None:
    extensions = AUTHORITY.certificate.extensions
    constraints = extensions.get_extension_for_class(x509.BasicConstraints)
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert constraints.critical
    assert constraints.value == x509.BasicConstraints(ca=True, path_length=0)
    assert (usage.key_cert_sign, usage.digital_signature) == (True, False)
    assert AUTHORITY.certificate.subject.rfc4514_string() == "CN=backplane"


def test_edge_certificate_is_good_for_a_server_only() -> None:
    issued = AUTHORITY.issue_edge(now=NOW).certificate
    usage = issued.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_join_token_stays_short_enough_to_paste() -> None:
    assert len(AUTHORITY.certificate_der) < 450


def test_edge_certificate_is_good_until_thirty_days_before_its_end() -> None:
    issued = AUTHORITY.issue_edge(now=NOW)
    assert issued.is_good(AUTHORITY, now=NOW + timedelta(days=59))
    assert not issued.is_good(AUTHORITY, now=NOW + timedelta(days=60))


def test_edge_certificate_is_not_good_with_another_key_or_authority() -> None:
    issued = AUTHORITY.issue_edge(now=NOW)
    assert not EdgeCertificate(issued.certificate, new_key()).is_good(AUTHORITY, now=NOW)
    assert not issued.is_good(Authority.create(now=NOW), now=NOW)
