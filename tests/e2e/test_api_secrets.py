"""What a token is, nobody reads anywhere but in the one answer that makes it."""

from __future__ import annotations

from typing import Any

import httpx

from .stage import Edge, Stage


def everything_said(edge: Edge, api: httpx.Client) -> dict[str, str]:
    """Return all that an operator, or a log, gets to see."""
    said = {path: api.get(path).text for path in ("/v1/events", "/v1/config", "/v1/tokens", "/metrics")}
    said |= {"stderr": edge.stderr, "stdout": edge.stdout}
    for path in edge.data_dir.iterdir():
        if path.name not in ("join-token", "admin-token") and path.is_file():
            said[path.name] = path.read_bytes().decode("latin-1")
    return said


def test_secrets_are_in_no_log_no_event_no_export_and_no_database(stage: Stage) -> None:
    edge = stage.edge("edge", "--log-level", "debug", open_metrics=False)
    first = (edge.data_dir / "admin-token").read_text().strip()
    inputs: tuple[dict[str, Any], ...] = (
        {"kind": "api", "role": "editor"},
        {"kind": "join", "services": ["web"]},
    )
    with httpx.Client(base_url=edge.api_url, trust_env=False, timeout=20) as api:
        wrong = "bpa_" + "w" * 43
        assert api.get("/v1/routes", headers={"Authorization": f"Bearer {wrong}"}).status_code == 401
        assert api.get(f"/v1/routes?token={wrong}").status_code == 401
        api.headers["Authorization"] = f"Bearer {first}"
        secrets = [api.post("/v1/tokens", json=one).json()["secret"] for one in inputs]
        assert all(len(secret) > 40 for secret in secrets)
        for where, text in everything_said(edge, api).items():
            for secret in (first, wrong, *secrets):
                assert secret not in text, where
    edge.stop()
    assert first not in edge.stderr + edge.stdout


def test_a_good_token_passes_while_wrong_ones_pour_in(stage: Stage) -> None:
    edge = stage.edge(open_metrics=False)
    good = {"Authorization": f"Bearer {(edge.data_dir / 'admin-token').read_text().strip()}"}
    with httpx.Client(base_url=edge.api_url, trust_env=False, timeout=20) as api:
        codes = []
        for number in range(200):
            wrong = {
                "Authorization": f"Bearer bpa_{number:043}",
                "X-Forwarded-For": f"192.0.2.{number}",  # which nobody believes
            }
            codes.append(api.get("/v1/routes", headers=wrong).status_code)
            if number % 20 == 0:
                assert api.get("/v1/routes", headers=good).status_code == 200
    assert codes[0] == 401
    assert codes.count(429) > 100
    assert edge.stderr.count("wrong token") < 100
