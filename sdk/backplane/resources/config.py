"""`client.config`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..calls.config import JSON_TYPE, YAML_TYPE, apply, export, export_text
from ..calls.pages import AsyncSend, Send
from ..models.config import ConfigResult

__all__ = ["AsyncConfiguration", "Configuration"]

Document = Mapping[str, Any] | str | bytes
"""A configuration: as data, or as the text of a YAML file."""


class Configuration:
    """All routes and policies as one document. Tokens are no part of it."""

    def __init__(self, send: Send) -> None:
        self._send = send

    def export(self) -> dict[str, Any]:
        """Return the document, without what is as by default. Applying it changes nothing."""
        return self._send(export())

    def export_text(self, form: str = "yaml") -> str:
        """Return the document as the text of a file, `yaml` or `json`."""
        return self._send(export_text(form))

    def apply(
        self,
        document: Document,
        *,
        dry_run: bool = False,
        if_version: int | None = None,
        media_type: str | None = None,
    ) -> ConfigResult:
        """Make routes and policies what a document says, in one step; return what that changed.

        A part that the document has is then exactly as it says, a part that it does not have stays.

        Args:
            document: the configuration.
            dry_run: change nothing; return what would be changed.
            if_version: only if the configuration is still of this version.
            media_type: of a text; YAML by default.

        Raises:
            Invalid: the document cannot work; `fields` says where.
            PreconditionFailed: it is another version.
        """
        kind = media_type or _media_type(document)
        return self._send(apply(document, media_type=kind, dry_run=dry_run, if_version=if_version))


class AsyncConfiguration:
    """All routes and policies as one document: see `Configuration`."""

    def __init__(self, send: AsyncSend) -> None:
        self._send = send

    async def export(self) -> dict[str, Any]:
        """Return the document, without what is as by default. Applying it changes nothing."""
        return await self._send(export())

    async def export_text(self, form: str = "yaml") -> str:
        """Return the document as the text of a file, `yaml` or `json`."""
        return await self._send(export_text(form))

    async def apply(
        self,
        document: Document,
        *,
        dry_run: bool = False,
        if_version: int | None = None,
        media_type: str | None = None,
    ) -> ConfigResult:
        """Make routes and policies what a document says: see `Configuration.apply`."""
        kind = media_type or _media_type(document)
        return await self._send(apply(document, media_type=kind, dry_run=dry_run, if_version=if_version))


def _media_type(document: Document) -> str:
    return JSON_TYPE if isinstance(document, Mapping) else YAML_TYPE
