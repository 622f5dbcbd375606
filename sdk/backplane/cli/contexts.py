"""Contexts: edges that the command knows by a name, each with the token that it uses there.

They are in one file, which only its owner can read: `$XDG_CONFIG_HOME/backplane/contexts.json`, by default below
`~/.config`. It is written whole or not at all.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, ValidationError

from .exit import CommandError, ExitCode

__all__ = ["Context", "Contexts", "contexts_file"]


class Context(BaseModel):
    """An edge and the token to use there."""

    api: str
    token: str = Field(repr=False)
    ca_file: Path | None = None
    verify: bool = True


class Contexts(BaseModel):
    """All contexts, and the one that is used if none is named."""

    current: str | None = None
    contexts: dict[str, Context] = Field(default={})

    @classmethod
    def load(cls) -> Self:
        """Return what the file has. Raises CommandError if it is damaged or open to others."""
        file = contexts_file()
        try:
            with file.open("rb") as opened:
                mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
                content = opened.read()
        except FileNotFoundError:
            return cls()
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}", ExitCode.USAGE) from None
        if mode & 0o077:
            raise CommandError(
                f"{file} holds tokens but is open to others (mode {mode:03o}): chmod 600 {file}",
                ExitCode.TRUST,
            )
        try:
            return cls.model_validate_json(content)
        except ValidationError:
            raise CommandError(
                f"{file} is damaged: mend it, or delete it and log in again", ExitCode.USAGE
            ) from None

    def save(self) -> None:
        """Write the file. Raises CommandError."""
        file = contexts_file()
        draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
        content = json.dumps(self.model_dump(mode="json", exclude_none=True), indent=2) + "\n"
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                    opened.write(content)
                    opened.flush()
                    os.fsync(opened.fileno())
                draft.rename(file)
            finally:
                draft.unlink(missing_ok=True)
        except OSError as error:
            raise CommandError(f"{file}: {error.strerror}") from None

    def get(self, name: str) -> Context:
        """Return a context. Raises CommandError if there is none of this name."""
        found = self.contexts.get(name)
        if found is None:
            known = ", ".join(sorted(self.contexts)) or "none: see `backplane login --help`"
            raise CommandError(f"there is no context {name!r}; there are: {known}", ExitCode.USAGE)
        return found


def contexts_file() -> Path:
    """Return where contexts are kept."""
    home = os.environ.get("XDG_CONFIG_HOME", "")
    base = Path(home) if home.startswith("/") else Path.home() / ".config"
    return base / "backplane" / "contexts.json"
