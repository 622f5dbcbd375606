"""What `backplane connect` makes of its arguments: the settings of an agent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from backplane.cli.exit import CommandError, ExitCode
from backplane.cli.settings import CONFIG_VARIABLE
from backplane.local import LocalAccess

__all__ = ["identity_of", "local_edge"]

DEFAULT_DATA_DIR = Path("edge-data")
SETTINGS = {"zone": "zone", "agent": "agent_id"}
"""Keys of a selector that are settings of an agent, not labels of its instances."""


def identity_of(selector: str, upstreams: Sequence[str]) -> dict[str, object]:
    """Return the service with its upstreams, and the labels. Raises CommandError."""
    pairs: dict[str, str] = {}
    for part in selector.split(","):
        key, equals, value = (text.strip() for text in part.partition("="))
        if not equals or not key or not value or key.endswith("!"):
            raise _wrong(selector, f"{part.strip()!r} is not KEY=VALUE")
        if key in pairs:
            raise _wrong(selector, f"{key!r} is given twice")
        pairs[key] = value
    service = pairs.pop("service", None)
    if service is None:
        raise _wrong(selector, "it names no service")
    settings: dict[str, object] = {SETTINGS[key]: pairs.pop(key) for key in SETTINGS if key in pairs}
    labels = [f"{key}={value}" for key, value in pairs.items()]
    return {"services": [f"{service}={','.join(upstreams)}"], "labels": labels, **settings}


def local_edge(
    data_dir: Path | None, edges: Sequence[str] | None, token_file: Path | None, config: Path | None
) -> dict[str, object]:
    """Return the edge to dial and the token: what is given, else those of the edge on this machine.

    Raises CommandError if there is no such edge.
    """
    settings: dict[str, object] = {"edges": list(edges or []), "token_file": token_file}
    told = config is not None or any(
        os.environ.get(name) for name in (CONFIG_VARIABLE, "BACKPLANE_EDGES", "BACKPLANE_TOKEN_FILE")
    )
    if data_dir is None and (edges or token_file or told):
        return settings
    place = data_dir or DEFAULT_DATA_DIR
    if not place.is_dir():
        raise CommandError(
            f"which edge? There is no {place} here: name an edge with --edge and its token with --token-file, or the"
            " data directory of an edge on this machine with --data-dir",
            ExitCode.USAGE,
        )
    access = LocalAccess.read(place)
    return {"edges": list(edges or [access.tunnel]), "token_file": token_file or access.join_token}


def _wrong(selector: str, reason: str) -> CommandError:
    return CommandError(
        f"{selector!r} does not say what is connected: {reason}; write service=web,release=v2", ExitCode.USAGE
    )
