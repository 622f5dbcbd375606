"""The pages of the documentation, as a person uses them in a browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from .browser import Page, chromium
from .stage import Edge, Stage

CREATE = "#operations-routes-create_route"
"""Swagger UI's box for `POST /v1/routes`."""


def stayed_at(edge: Edge, page: Page) -> bool:
    """Whether the page has asked nobody but the edge, and for something."""
    asked = [url for url in page.requests if not url.startswith("data:")]
    return bool(asked) and all(url.startswith(f"{edge.api_url}/") for url in asked)


@pytest.mark.timeout(300)
def test_a_route_is_made_with_try_it_out(stage: Stage, tmp_path: Path) -> None:
    edge = stage.edge(open_metrics=False)
    token = (edge.data_dir / "admin-token").read_text().strip()
    with chromium() as page:
        page.open(f"{edge.api_url}/docs")
        page.click(".btn.authorize")
        page.write(".auth-container input", token)
        page.click(".auth-btn-wrapper .authorize")
        page.wait_for(".auth-btn-wrapper", text="Logout")
        page.click(".btn-done")
        page.click(f"{CREATE} .opblock-summary-control")
        page.click(f"{CREATE} .try-out__btn")
        page.click(f"{CREATE} .execute")
        code = page.wait_for(f"{CREATE} .live-responses-table tbody .response-col_status")
        page.screenshot(tmp_path / "docs.png")
        assert code.startswith("201"), page.wait_for(f"{CREATE} .live-responses-table")
        assert page.complaints == []
        assert stayed_at(edge, page)
    found = httpx.get(
        f"{edge.api_url}/v1/routes/shop", headers={"Authorization": f"Bearer {token}"}, trust_env=False
    )
    assert found.json()["host"] == "shop.example.com"


@pytest.mark.timeout(300)
def test_redoc_shows_every_operation(stage: Stage, tmp_path: Path) -> None:
    edge = stage.edge()
    document = httpx.get(f"{edge.api_url}/openapi.json", trust_env=False).json()
    summaries = [one["summary"] for item in document["paths"].values() for one in item.values()]
    with chromium() as page:
        page.open(f"{edge.api_url}/redoc")
        page.wait_for("[data-section-id]")
        shown = page.wait_for("redoc", text=summaries[-1])
        page.screenshot(tmp_path / "redoc.png")
        assert [one for one in summaries if one not in shown] == []
        assert page.complaints == []
        assert stayed_at(edge, page)
