"""Swagger UI at /docs and ReDoc at /redoc, with nothing from anywhere else.

The scripts come with the package `fastapi-standalone-docs`, which packs Swagger UI (Apache-2.0) and ReDoc (MIT)
unchanged; the pages around them are ours, so that they can forbid the browser to load or send anything elsewhere.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse
from starlette.responses import HTMLResponse, Response

__all__ = ["OPEN_PAGES", "add_documentation"]

_ASSETS = {
    "/docs/swagger-ui.js": ("swagger/swagger-ui-bundle.js", "text/javascript"),
    "/docs/swagger-ui.css": ("swagger/swagger-ui.css", "text/css"),
    "/docs/redoc.js": ("redoc/redoc.standalone.js", "text/javascript"),
}
OPEN_PAGES = frozenset({"/", "/docs", "/redoc", "/docs/start.js", *_ASSETS})
"""What needs no token."""

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
<style>body { margin: 0; }</style>
</head>
<body>
<redoc spec-url="openapi.json" disable-search="true" hide-loading="true"></redoc>
<script src="docs/redoc.js"></script>
</body>
</html>
"""
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:;"
    " worker-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Neither page can load anything from elsewhere, nor send anything there."""


def add_documentation(api: FastAPI) -> None:
    """Add the pages and their scripts."""

    @api.get("/", include_in_schema=False)
    async def start() -> Response:
        return RedirectResponse("docs")

    @api.get("/docs", include_in_schema=False)
    async def swagger() -> Response:
        return HTMLResponse(_SWAGGER, headers={"Content-Security-Policy": _POLICY})

    @api.get("/redoc", include_in_schema=False)
    async def redoc() -> Response:
        return HTMLResponse(_REDOC, headers={"Content-Security-Policy": _POLICY})

    @api.get("/docs/start.js", include_in_schema=False)
    async def script() -> Response:
        return Response(_START, media_type="text/javascript")

    async def asset(request: Request) -> Response:
        name, media_type = _ASSETS[request.url.path]
        headers = {"Cache-Control": "public, max-age=3600"}
        return Response(_read(name), media_type=media_type, headers=headers)

    for path in _ASSETS:
        api.add_api_route(path, asset, include_in_schema=False)


@lru_cache(maxsize=8)
def _read(name: str) -> bytes:
    return files("fastapi_standalone_docs").joinpath("static", *name.split("/")).read_bytes()
