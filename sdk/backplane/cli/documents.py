"""Files with YAML or JSON that a person wrote."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .exit import CommandError, ExitCode

__all__ = ["read_bytes", "read_document"]

MAX_SIZE = 256 * 1024 * 1024


def read_bytes(file: Path) -> bytes:
    """Return the content of a file; `-` is stdin. Raises CommandError."""
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(MAX_SIZE + 1)
        else:
            with file.open("rb") as opened:
                content = opened.read(MAX_SIZE + 1)
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}", ExitCode.USAGE) from None
    if len(content) > MAX_SIZE:
        raise CommandError(f"{file} is larger than {MAX_SIZE >> 20} MB", ExitCode.USAGE)
    return content


def read_document(file: Path) -> dict[str, Any]:
    """Return what a YAML or JSON file says, which is a mapping. Raises CommandError."""
    from .yaml import YamlError, from_yaml

    content = read_bytes(file)
    try:
        document = from_yaml(content)
    except YamlError as error:
        raise CommandError(f"{file} {error}", ExitCode.USAGE) from None
    if not isinstance(document, dict):
        raise CommandError(f"{file} is not a mapping of names to values", ExitCode.USAGE)
    return document
