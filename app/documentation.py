"""Swagger UI at /docs and ReDoc at /redoc, with nothing from anywhere else.

The scripts come with the package `fastapi-standalone-docs`, which packs Swagger UI (Apache-2.0) and ReDoc (MIT)
unchanged; the pages around them are ours, so that they can forbid the browser to load or send anything elsewhere.

All this is open to strangers. So it is made once, sent in parts that a slow reader cannot have pile up, and not sent
again to who has it.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import cache, partial
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.responses import Response, StreamingResponse

__all__ = ["OPEN_PAGES", "add_documentation"]

PART = 64 * 1024
"""Bytes that are sent at once."""

_SWAGGER = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backplane API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="docs/swagger-ui.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = """SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#swagger-ui",
  deepLinking: true,
  displayRequestDuration: true,
  docExpansion: "list",
  filter: true,
  persistAuthorization: false,
  validatorUrl: null,
});
"""
_REDOC = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Backplane API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/redoc.css">
</head>
<body>
<redoc spec-url="openapi.json" disable-search="true" hide-loading="true"></redoc>
<script src="docs/redoc.js"></script>
</body>
</html>
"""
_REDOC_STYLE = "body { margin: 0; }\n"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' data:; font-src data:;"
    " connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Neither page can load anything from elsewhere, nor send anything there."""
_SWAGGER_POLICY = _POLICY.format(style="'self'")
_REDOC_POLICY = _POLICY.format(style="'self' 'unsafe-inline'")
"""ReDoc makes its styles with its script, and shows nothing if it may not. No script is inline on either page."""


@dataclass(frozen=True)
class _Content:
    """Something that is sent as it is."""

    body: bytes
    media_type: str
    policy: str | None = None
    etag: str = field(init=False)
    compressed: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "etag", f'"{hashlib.sha256(self.body).hexdigest()[:32]}"')
        object.__setattr__(self, "compressed", gzip.compress(self.body, 6, mtime=0))

    def answer(self, request: Request) -> Response:
        """Return it as an answer."""
        headers = {"Cache-Control": "no-cache", "ETag": self.etag, "Vary": "Accept-Encoding"}
        if self.policy is not None:
            headers["Content-Security-Policy"] = self.policy
        if self.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = self.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = self.compressed
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        return StreamingResponse(_parts(body), media_type=self.media_type, headers=headers)


async def _parts(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PART):
        yield body[start : start + PART]


@cache
def _text(text: str, media_type: str, policy: str | None = None) -> _Content:
    return _Content(text.encode(), media_type, policy)


@cache
def _packed(name: str, media_type: str) -> _Content:
    return _Content(
        files("fastapi_standalone_docs").joinpath("static", *name.split("/")).read_bytes(), media_type
    )


_CONTENTS: dict[str, Callable[[], _Content]] = {
    "/docs": partial(_text, _SWAGGER, "text/html", _SWAGGER_POLICY),
    "/redoc": partial(_text, _REDOC, "text/html", _REDOC_POLICY),
    "/docs/start.js": partial(_text, _START, "text/javascript"),
    "/docs/redoc.css": partial(_text, _REDOC_STYLE, "text/css"),
    "/docs/swagger-ui.js": partial(_packed, "swagger/swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": partial(_packed, "swagger/swagger-ui.css", "text/css"),
    "/docs/redoc.js": partial(_packed, "redoc/redoc.standalone.js", "text/javascript"),
    "/redoc/logo-mini.svg": partial(_packed, "redoc/logo-mini.svg", "image/svg+xml"),
}
OPEN_PAGES = frozenset({"/", "/openapi.json", *_CONTENTS})
"""What needs no token."""


def add_documentation(api: FastAPI) -> None:
    """Add the pages, their scripts, and the document that they show."""

    @api.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("docs")

    @cache
    def document() -> _Content:
        return _Content(json.dumps(api.openapi(), ensure_ascii=False).encode(), "application/json")

    async def content(request: Request) -> Response:
        return contents[request.url.path]().answer(request)

    contents: dict[str, Callable[[], _Content]] = {**_CONTENTS, "/openapi.json": document}
    for path in contents:
        api.add_api_route(path, content, include_in_schema=False)
