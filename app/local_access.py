"""`local.json` in the data directory: where the edge listens and where its first tokens are.

Commands on the same machine (`backplane route list`, `backplane connect`) find the edge by it. It has no secrets.
"""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from backplane.cli.address import Address

from .identity import DataDirectory, Identity

__all__ = ["LOCAL_ACCESS", "write_local_access"]

LOCAL_ACCESS = "local.json"


def write_local_access(
    data: DataDirectory,
    identity: Identity,
    *,
    public: str,
    tunnel: Address,
    api: Address,
    scheme: str = "http",
    ca: Path | None = None,
) -> None:
    """Write it anew. Raises IdentityError.

    Args:
        data: where to.
        identity: what knows the tokens' files.
        public: the URL of the public side.
        tunnel: where agents dial in.
        api: where the management API answers.
        scheme: how it is spoken to, http or https.
        ca: the file with the CA of its certificate; None: one that everybody knows, or none at all.
    """
    content = {
        "api": f"{scheme}://{_dialled(api)}",
        "ca": _path(ca),
        "public": public,
        "tunnel": str(_dialled(tunnel)),
        "admin_token": _path(identity.admin_token),
        "join_token": _path(identity.join_token),
    }
    data.write(LOCAL_ACCESS, (json.dumps(content, indent=2) + "\n").encode(), secret=False)


def _path(path: object) -> str | None:
    return None if path is None else str(path)


def _dialled(address: Address) -> Address:
    """Return where an address is reached from this machine."""
    if not address.is_wildcard:
        return address
    return Address("::1" if ipaddress.ip_address(address.host).version == 6 else "127.0.0.1", address.port)
