"""Who an edge is and whom it lets in: CA, certificates, tokens, and the directories that keep them.

`Identity.load_or_create` is the face; `Authority` makes certificates, `DataDirectory` keeps files private and whole.
"""

from __future__ import annotations

from .authority import EDGE_NAME, Authority
from .directory import DataDirectory
from .errors import DirectoryLocked, IdentityError
from .identity import Identity
from .invitation import agent_command_line
from .records import AdminRecord, TokenRecord, Tokens

__all__ = [
    "EDGE_NAME",
    "AdminRecord",
    "Authority",
    "DataDirectory",
    "DirectoryLocked",
    "Identity",
    "IdentityError",
    "TokenRecord",
    "Tokens",
    "agent_command_line",
]
