"""What agents and edges say in these tests."""

from __future__ import annotations

from h2s.messages import ConfigVersion, Credentials, Hello, Refusal, ServiceOffer, TunnelLimits, Welcome

__all__ = ["HELLO", "NONCE", "REFUSAL", "WELCOME"]

NONCE = "0123456789abcdef" * 2
HELLO = Hello(
    agent_id="agent-1",
    generation=7,
    version="0.1",
    services=[ServiceOffer(name="web", labels={"release": "v2"})],
    credentials=Credentials(join_secret="ab" * 32),
)
WELCOME = Welcome(
    edge_id="edge-1",
    tunnel_id="t-1",
    control_nonce=NONCE,
    config_version=ConfigVersion(fleet="f", epoch=1, n=1),
    limits=TunnelLimits(max_message=1024 * 1024),
)
REFUSAL = Refusal(
    title="Registration refused",
    status=503,
    detail="This edge is stopping.",
    code="draining",
    permanent=False,
    retry_after=2.5,
)
