"""Who may call an endpoint: dependencies that ask for a role, and show up in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from .credentials import Principal, Role
from .problem import Forbidden, Unauthenticated

__all__ = ["VIEWER", "Admin", "Editor", "Viewer"]

_bearer = HTTPBearer(
    scheme_name="token",
    description="A token of the management API. The first is in the file `admin-token` of the data directory.",
    auto_error=False,
)


def _requires(role: Role) -> Callable[..., Principal]:
    def principal(
        request: Request, _: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]
    ) -> Principal:
        found: Principal | None = getattr(request.state, "principal", None)
        if found is None:
            raise Unauthenticated("This needs a token.", headers={"WWW-Authenticate": "Bearer"})
        if not found.role.includes(role):
            raise Forbidden(
                f"This needs the role {role}; the token {found.id} has {found.role}.",
                hint=f"Use a token with the role {role}.",
            )
        return found

    return principal


VIEWER: Any = Depends(_requires(Role.VIEWER))
"""May read: for endpoints that need not know who it is."""
Viewer = Annotated[Principal, Depends(_requires(Role.VIEWER))]
"""May read."""
Editor = Annotated[Principal, Depends(_requires(Role.EDITOR))]
"""May change what traffic does."""
Admin = Annotated[Principal, Depends(_requires(Role.ADMIN))]
"""May change who may do what."""
