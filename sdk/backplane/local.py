"""How an edge on this machine is reached: what it has left word of in its data directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

__all__ = ["LOCAL_URL", "LocalAccess"]

LOCAL_URL = "http://127.0.0.1:7000"
"""Where an edge's API is by default."""
LOCAL_ACCESS = "local.json"
"""The file of a data directory that says where its edge is."""


class LocalAccess(BaseModel):
    """Where the edge of a data directory is, and where its first tokens are."""

    api: str = LOCAL_URL
    tunnel: str = "127.0.0.1:7443"
    public: str = "http://127.0.0.1:8080"
    ca: Path | None = None
    """The CA of the API's certificate, if it is the edge's own."""
    admin_token: Path
    join_token: Path

    @classmethod
    def read(cls, data_dir: Path) -> LocalAccess:
        """Return what is said there, or what is so by default."""
        defaults: dict[str, Any] = {
            "admin_token": data_dir / "admin-token",
            "join_token": data_dir / "join-token",
        }
        try:
            told = json.loads((data_dir / LOCAL_ACCESS).read_bytes())
            return cls.model_validate(defaults | {key: value for key, value in told.items() if value})
        except (OSError, ValueError, AttributeError):
            return cls.model_validate(defaults)
