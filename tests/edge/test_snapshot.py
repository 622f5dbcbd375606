from __future__ import annotations

import pytest

from edge.snapshot import JoinGrant, Snapshot

from .fakes import VERSION


@pytest.mark.parametrize(("default", "mode"), [("auto", "auto"), ("none", "none"), ("web", "name")])
def test_the_default_service_has_a_mode(default: str, mode: str) -> None:
    assert Snapshot(version=VERSION, edge_id="e", default_service=default).default_mode == mode


def test_a_grant_allows_what_it_names_or_all() -> None:
    named = JoinGrant(token_id="t", secret_sha256="0", services=("web",))
    assert named.allows("web")
    assert not named.allows("api")
    assert JoinGrant(token_id="t", secret_sha256="0").allows("api")


def test_a_secrets_hash_is_not_shown() -> None:
    assert "5ec2e7" not in repr(JoinGrant(token_id="t", secret_sha256="5ec2e7"))
