"""The join token: everything an agent needs to trust an edge and to be let in, in one line.

    h2s1.<CA certificate, DER, base64url>.<secret, 32 bytes, base64url>

Base64url is without padding (RFC 4648 §5). The agent trusts that CA alone, so a wrong edge fails in the handshake,
and the secret is sent only inside the connection that the CA vouches for. The edge keeps only the secret's hash.
"""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from dataclasses import dataclass, field

from .errors import H2SError

__all__ = ["SECRET_SIZE", "InvalidToken", "JoinToken"]

SECRET_SIZE = 32
"""Bytes of a secret."""
PREFIX = "h2s1"


class InvalidToken(H2SError):
    """The text is not a join token; the message says in one line what is wrong, without showing the secret."""


@dataclass(frozen=True, slots=True)
class JoinToken:
    """A certificate to trust and a secret to show. The secret is left out of `repr`."""

    ca_der: bytes
    secret: bytes = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> JoinToken:
        """Read a token, with or without white space around it. Raises InvalidToken."""
        parts = text.strip().split(".")
        if parts == [""]:
            raise InvalidToken("the join token is empty")
        if parts[0] != PREFIX:
            raise InvalidToken(_unknown_prefix(parts[0]))
        if len(parts) != 3:
            raise InvalidToken(f"the join token has {len(parts)} parts where 3 are due: it was cut or joined")
        ca_der = _decode(parts[1], "CA certificate")
        if not _is_der_sequence(ca_der):
            raise InvalidToken("the join token's CA certificate is damaged: it was cut or altered")
        secret = _decode(parts[2], "secret")
        if len(secret) != SECRET_SIZE:
            raise InvalidToken(f"the join token's secret has {len(secret)} bytes where {SECRET_SIZE} are due")
        return cls(ca_der, secret)

    def encode(self) -> str:
        """Return the token's text: one line, without its end. It is a secret."""
        return f"{PREFIX}.{_encode(self.ca_der)}.{_encode(self.secret)}"

    @property
    def ca_pem(self) -> str:
        """The CA certificate in PEM, as `ssl.SSLContext.load_verify_locations(cadata=...)` takes it."""
        return ssl.DER_cert_to_PEM_cert(self.ca_der)

    @property
    def secret_hash(self) -> str:
        """The SHA-256 of the secret's bytes in hex: what the edge stores."""
        return hashlib.sha256(self.secret).hexdigest()


def _unknown_prefix(prefix: str) -> str:
    if re.fullmatch(r"h2s\d{1,4}", prefix):
        return f"the join token is of version {prefix}, and this program reads {PREFIX} only: upgrade it"
    return f"this is not a join token: one begins with `{PREFIX}.`"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str, name: str) -> bytes:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text) or len(text) % 4 == 1:
        raise InvalidToken(f"the join token's {name} is not base64url: it was cut or altered")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _is_der_sequence(data: bytes) -> bool:
    """Return whether `data` is exactly one DER SEQUENCE in the long form (X.690 §8.1.3): a cheap test for damage."""
    if len(data) < 4 or data[0] != 0x30 or not 0x81 <= data[1] <= 0x83:
        return False
    end = 2 + data[1] - 0x80
    return len(data) == end + int.from_bytes(data[2:end], "big")
