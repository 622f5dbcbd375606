"""HTTP/2 engines: one small interface (`session`), the implementations behind it, and which one runs (`choice`)."""

from __future__ import annotations

from .choice import create_session, engine_hint, engine_name
from .session import Limits, Role, Session

__all__ = ["Limits", "Role", "Session", "create_session", "engine_hint", "engine_name"]
