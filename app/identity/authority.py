"""The certificate authority of a fleet, and the certificates of its edges.

One P-256 CA, made once and kept for ten years, signs one certificate for each edge. Agents trust this CA alone and ask
for the fixed name `edge.h2s.internal`, whatever address they dial; EKU serverAuth and a path length of 0 keep an edge's
certificate from being good for anything else. Edge certificates live 90 days and are renewed within the last 30, at a
start or while the edge runs; nothing else depends on them, so one that does not fit its CA or its key is simply made
anew. A management API beyond loopback gets one under its own names, with the same life.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["EDGE_NAME", "Authority", "EdgeCertificate"]

EDGE_NAME = "edge.h2s.internal"
"""The name that agents send as SNI and check."""
AUTHORITY_NAME = "backplane"
AUTHORITY_LIFETIME = timedelta(days=3652)
EDGE_LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(hours=1)
"""How far behind an agent's clock may be."""


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA: its certificate and the key that signs."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def create(cls, *, now: datetime) -> Authority:
        """Make a new authority."""
        return cls.from_key(new_key(), now=now)

    @classmethod
    def from_key(cls, key: ec.EllipticCurvePrivateKey, *, now: datetime) -> Authority:
        """Make a new certificate for an authority's key."""
        name = _name(AUTHORITY_NAME)
        certificate = (
            _builder(subject=name, issuer=name, key=key.public_key(), now=now, lifetime=AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(sign_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @property
    def certificate_der(self) -> bytes:
        """The certificate in DER, as a join token carries it."""
        return self.certificate.public_bytes(Encoding.DER)

    def issue_edge(self, *, now: datetime) -> EdgeCertificate:
        """Make an edge's key and sign its certificate."""
        return self._issue(EDGE_NAME, [x509.DNSName(EDGE_NAME)], now=now)

    def issue_api(self, names: Sequence[str], *, now: datetime) -> EdgeCertificate:
        """Make a key for a management API under these names and addresses, and sign its certificate.

        Whoever trusts the CA and asks for one of them gets there. None of them is the name that agents ask for.
        """
        return self._issue(names[0][:64], [_alternative(name) for name in names], now=now)

    def _issue(
        self, subject: str, alternatives: Sequence[x509.GeneralName], *, now: datetime
    ) -> EdgeCertificate:
        key = new_key()
        issuer_id = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key())
        certificate = (
            _builder(
                subject=_name(subject),
                issuer=self.certificate.subject,
                key=key.public_key(),
                now=now,
                lifetime=EDGE_LIFETIME,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(sign_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_id), critical=False
            )
            .sign(self.key, hashes.SHA256())
        )
        return EdgeCertificate(certificate, key)

    def is_whole(self) -> bool:
        """Whether certificate and key belong together."""
        return self.certificate.public_key() == self.key.public_key()


@dataclass(frozen=True, slots=True)
class EdgeCertificate:
    """An edge's certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def is_good(self, authority: Authority, *, now: datetime) -> bool:
        """Whether it fits its key and `authority`, and need not be renewed yet."""
        if self.certificate.public_key() != self.key.public_key():
            return False
        try:
            self.certificate.verify_directly_issued_by(authority.certificate)
        except (InvalidSignature, ValueError, TypeError):
            return False
        return not is_due(self.certificate, now=now)


def names_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [*found.get_values_for_type(x509.DNSName), *map(str, found.get_values_for_type(x509.IPAddress))]


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def is_due(certificate: x509.Certificate, *, now: datetime) -> bool:
    """Whether it is time to renew an edge's certificate."""
    return certificate.not_valid_after_utc - now <= RENEW_BEFORE


def new_key() -> ec.EllipticCurvePrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as unencrypted PKCS #8 in PEM."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def key_from_pem(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read what `key_to_pem` wrote. Raises ValueError."""
    try:
        key = load_pem_private_key(pem, password=None)
    except TypeError as error:
        raise ValueError("the key is encrypted") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("the key is not of the curve P-256")
    return key


def certificate_to_pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM)


def certificate_from_pem(pem: bytes) -> x509.Certificate:
    """Read a certificate. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    *,
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )
