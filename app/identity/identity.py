"""The identity of an edge on disk: made at the first start, found again at every later one.

    identity directory   ca.key  ca.crt  tokens.json  join-token  admin-token      may be shared by edges of a fleet
    data directory       edge.json  edge.key  edge.crt  api.key  api.crt  lock     this edge's alone

Files are made one by one under a lock, each in one step, in an order in which whatever is missing can be made from
what is there. So a crash while creating heals at the next start, while a file that is there but cannot be read is an
error: somebody has to know about it. The two token files are for people and may be removed once they have served;
`tokens.json` keeps the hashes.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ValidationError

from h2s.token import SECRET_SIZE, InvalidToken, JoinToken

from .authority import (
    Authority,
    EdgeCertificate,
    certificate_from_pem,
    certificate_to_pem,
    is_due,
    key_from_pem,
    key_to_pem,
    names_of,
    new_key,
)
from .directory import DataDirectory, PrivateDirectory
from .errors import IdentityError
from .records import ADMIN_TOKEN, AdminRecord, EdgeRecord, TokenRecord, Tokens, new_admin_token

__all__ = ["Identity"]

REPLACEABLE = frozenset(
    {"edge.json", "edge.key", "edge.crt", "api.key", "api.crt", "join-token", "admin-token"}
)
"""Files that no agent depends on."""

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who an edge is and whom it lets in. Paths are absolute."""

    edge_id: str
    ca_certificate: Path
    edge_certificate: Path
    """Certificate for the tunnel listener, to be loaded together with `edge_key`."""
    edge_key: Path
    join_token: Path | None
    """The file to give to agents; None when the operator has removed it."""
    admin_token: Path | None
    """The file with the management API's first token; None when the operator has removed it."""
    tokens: Tokens
    created: bool
    """Whether the identity directory got a new authority at this call."""
    shared: PrivateDirectory
    """The directory with CA and tokens."""

    @property
    def authority_der(self) -> bytes:
        """The CA's certificate. Raises IdentityError."""
        certificate = _load(self.shared, "ca.crt", certificate_from_pem)
        if certificate is None:
            raise IdentityError(f"{self.ca_certificate} is missing")
        return certificate.public_bytes(Encoding.DER)

    def forget(self, token_ids: Collection[str]) -> None:
        """Take revoked tokens out of `tokens.json`. Raises IdentityError."""
        if not self.tokens.has_any(token_ids):
            return
        with self.shared.creation_lock():
            tokens = _load(self.shared, "tokens.json", _parser(Tokens))
            if tokens is not None and tokens.has_any(token_ids):
                _write_record(self.shared, "tokens.json", tokens.without(token_ids))

    def api_certificate(
        self,
        data: DataDirectory,
        identity_path: Path | None,
        names: Sequence[str],
        *,
        now: datetime | None = None,
    ) -> tuple[Path, Path, bool]:
        """Have a certificate for the management API under these names, made anew if there is no good one.

        Returns the files with the certificate and its key, and whether they are new. Raises IdentityError.
        """
        moment = datetime.now(UTC) if now is None else now
        authority = _authority_there(data, identity_path, moment)
        key = _load(data, "api.key", key_from_pem)
        certificate = _load(data, "api.crt", certificate_from_pem)
        is_good = (
            key is not None
            and certificate is not None
            and EdgeCertificate(certificate, key).is_good(authority, now=moment)
            and sorted(names_of(certificate)) == sorted(names)
        )
        if not is_good:
            _write_certificate(data, "api", authority.issue_api(names, now=moment))
        return data.file("api.crt"), data.file("api.key"), not is_good

    @classmethod
    def load_or_create(
        cls, data: DataDirectory, identity_path: Path | None = None, *, now: datetime | None = None
    ) -> Identity:
        """Return the identity kept in the directories, making what is not there yet and renewing what ends soon.

        Args:
            data: the edge's own directory.
            identity_path: the directory with CA and tokens; the data directory by default.
            now: the time that certificates and records get.

        Raises:
            IdentityError: a file is damaged, or a directory cannot be used.
        """
        moment = datetime.now(UTC) if now is None else now
        shared = data if identity_path is None else PrivateDirectory.open(identity_path)
        with shared.creation_lock():
            authority, created = _authority(shared, moment)
            tokens = _tokens(shared, authority, moment)
        _edge_certificate(data, authority, moment)
        return cls(
            edge_id=_edge_record(data).edge_id,
            ca_certificate=shared.file("ca.crt"),
            edge_certificate=data.file("edge.crt"),
            edge_key=data.file("edge.key"),
            join_token=_existing(shared.file("join-token")),
            admin_token=_existing(shared.file("admin-token")),
            tokens=tokens,
            created=created,
            shared=shared,
        )

    def renew(
        self, data: DataDirectory, identity_path: Path | None = None, *, now: datetime | None = None
    ) -> datetime | None:
        """Make the edge's certificate anew if it is time, and return when the new one ends; else None.

        For an edge that runs: nothing else is made. The new certificate is in the same files.

        Raises:
            IdentityError: a file is damaged or missing, or cannot be written.
        """
        moment = datetime.now(UTC) if now is None else now
        certificate = _load(data, "edge.crt", certificate_from_pem)
        if certificate is not None and not is_due(certificate, now=moment):
            return None
        authority = _authority_there(data, identity_path, moment)
        return _edge_certificate(data, authority, moment).not_valid_after_utc


def _authority(shared: PrivateDirectory, now: datetime) -> tuple[Authority, bool]:
    authority = _existing_authority(shared, now)
    if authority is not None:
        return authority, False
    key = _load(shared, "ca.key", key_from_pem)
    if key is None:
        key = new_key()
        shared.write("ca.key", key_to_pem(key), secret=True)
    authority = Authority.from_key(key, now=now)
    shared.write("ca.crt", certificate_to_pem(authority.certificate), secret=False)
    return authority, True


def _authority_there(data: DataDirectory, identity_path: Path | None, now: datetime) -> Authority:
    """Return the authority of an edge that runs."""
    shared = data if identity_path is None else PrivateDirectory.open(identity_path)
    authority = _existing_authority(shared, now)
    if authority is None:
        raise IdentityError(f"{shared.file('ca.crt')} is missing")
    return authority


def _existing_authority(shared: PrivateDirectory, now: datetime) -> Authority | None:
    key = _load(shared, "ca.key", key_from_pem)
    certificate = _load(shared, "ca.crt", certificate_from_pem)
    if certificate is None:
        return None
    if key is None:
        raise IdentityError(f"{shared.file('ca.key')} is missing, while its certificate is there")
    authority = Authority(certificate, key)
    if not authority.is_whole():
        raise IdentityError(f"{shared.file('ca.crt')} is not the certificate of ca.key")
    if certificate.not_valid_after_utc <= now:
        raise IdentityError(f"{shared.file('ca.crt')} has expired")
    return authority


def _tokens(shared: PrivateDirectory, authority: Authority, now: datetime) -> Tokens:
    join = _load(shared, "join-token", _parse_join_token)
    if join is not None and join.ca_der != authority.certificate_der:
        raise IdentityError(f"{shared.file('join-token')} carries another CA than ca.crt")
    admin = _load(shared, "admin-token", _parse_admin_token)
    tokens = _load(shared, "tokens.json", _parser(Tokens))
    if tokens is not None:
        return tokens
    if join is None:
        join = JoinToken(authority.certificate_der, secrets.token_bytes(SECRET_SIZE))
        shared.write("join-token", _line(join.encode()), secret=True)
    if admin is None:
        admin = new_admin_token()
        shared.write("admin-token", _line(admin), secret=True)
    tokens = Tokens(join=(TokenRecord.of(join, now=now),), admin=(AdminRecord.of(admin, now=now),))
    _write_record(shared, "tokens.json", tokens)
    return tokens


def _edge_certificate(data: DataDirectory, authority: Authority, now: datetime) -> x509.Certificate:
    """Return the edge's certificate, made anew if it is not good."""
    key = _load(data, "edge.key", key_from_pem)
    certificate = _load(data, "edge.crt", certificate_from_pem)
    if (
        key is not None
        and certificate is not None
        and EdgeCertificate(certificate, key).is_good(authority, now=now)
    ):
        return certificate
    issued = authority.issue_edge(now=now)
    _write_certificate(data, "edge", issued)
    return issued.certificate


def _write_certificate(data: DataDirectory, name: str, issued: EdgeCertificate) -> None:
    data.write(f"{name}.key", key_to_pem(issued.key), secret=True)
    data.write(f"{name}.crt", certificate_to_pem(issued.certificate), secret=False)


def _edge_record(data: DataDirectory) -> EdgeRecord:
    record = _load(data, "edge.json", _parser(EdgeRecord))
    if record is None:
        record = EdgeRecord.create()
        _write_record(data, "edge.json", record)
    return record


def _load(directory: PrivateDirectory, name: str, parse: Callable[[bytes], T]) -> T | None:
    content = directory.read(name)
    if content is None:
        return None
    try:
        return parse(content)
    except (ValueError, InvalidToken) as error:
        reason = str(error).partition("\n")[0].rstrip(".: ")
        cure = "remove it to have a new one" if name in REPLACEABLE else "restore it from a backup"
        raise IdentityError(f"{directory.file(name)} is damaged ({reason}): {cure}") from None


def _parser(model: type[M]) -> Callable[[bytes], M]:
    def parse(content: bytes) -> M:
        try:
            return model.model_validate_json(content)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, problem["loc"]))
            raise ValueError(f"{where}: {problem['msg']}" if where else problem["msg"]) from None

    return parse


def _parse_join_token(content: bytes) -> JoinToken:
    return JoinToken.parse(content.decode("utf-8", "replace"))


def _parse_admin_token(content: bytes) -> str:
    text = content.decode("ascii").strip()
    if not ADMIN_TOKEN.fullmatch(text):
        raise ValueError("this is not an admin token")
    return text


def _write_record(directory: PrivateDirectory, name: str, record: BaseModel) -> None:
    directory.write(name, _line(record.model_dump_json(indent=2)), secret=True)


def _line(text: str) -> bytes:
    return f"{text}\n".encode()


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None
