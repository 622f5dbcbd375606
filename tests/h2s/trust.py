"""A certificate authority for tests, and certificates good and bad."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from h2s.token import JoinToken
from h2s.tunnel import agent_ssl_context, edge_ssl_context
from h2s.wire import EDGE_NAME

__all__ = ["Trust"]


class Trust:
    """One CA, the token that carries it, and TLS contexts of both sides."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
        builder = self._builder(self._name, self._key.public_key(), timedelta(days=1))
        self.certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs=True), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def token(self) -> JoinToken:
        """The token that agents hold."""
        return JoinToken(self.certificate.public_bytes(Encoding.DER), bytes(32))

    def token_file(self) -> Path:
        """Write the token down."""
        path = self._folder / "token"
        path.write_text(self.token.encode())
        return path

    def agent(self) -> ssl.SSLContext:
        """Return the context of an agent that trusts this CA."""
        return agent_ssl_context(self.token.ca_pem)

    def edge(
        self,
        *,
        name: str = EDGE_NAME,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.SERVER_AUTH,
        lifetime: timedelta = timedelta(days=1),
    ) -> ssl.SSLContext:
        """Return the context of an edge with a certificate for `name`, perhaps not a good one."""
        return edge_ssl_context(*self._issue(name, usage, lifetime))

    def server(self, *alpn: str, tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
        """Return the context of a server that has an edge's certificate but speaks something else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.maximum_version = tls
        context.load_cert_chain(*self._issue(EDGE_NAME, ExtendedKeyUsageOID.SERVER_AUTH, timedelta(days=1)))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context

    def _issue(self, name: str, usage: x509.ObjectIdentifier, lifetime: timedelta) -> tuple[str, str]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            self._builder(subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(issuer, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        paths = self._folder / "edge.crt", self._folder / "edge.key"
        paths[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        paths[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(paths[0]), str(paths[1])

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(now + lifetime)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )
