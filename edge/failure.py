"""What an attempt to send a request can come to instead of an answer, and how the client is told.

A failure is written `code` or `code: detail`: so it is logged. Its code is found here, by the edge, or named by the
agent, whose word decides no more than which of these answers the client gets.
"""

from __future__ import annotations

from h2s.engine.session import Fields
from h2s.wire import ERROR_DETAIL_FIELD, ERROR_FIELD

__all__ = ["BROKEN_OFF", "NEVER_SENT", "REFUSED", "TUNNEL_LOST", "agent_failure", "client_answer"]

REFUSED = "refused"
"""The agent has surely not acted on the request."""
TUNNEL_LOST = "tunnel_lost"
"""The stream ended before the answer, in whatever way."""

_ANSWERS = {
    REFUSED: (503, "No instance could take the request just now."),
    TUNNEL_LOST: (502, "The tunnel to the app was lost before it answered."),
    "upstream-refused": (502, "The app refused the connection."),
    "upstream-untrusted": (502, "The app could not show that it is the one meant."),
    "upstream-connect-timeout": (504, "The app could not be connected to in time."),
    "upstream-timeout": (504, "The app did not answer in time."),
    "upstream-closed": (502, "The app closed the connection before it answered."),
    "upstream-invalid": (502, "The app's answer is not valid HTTP."),
}
NEVER_SENT = frozenset(
    ("upstream-refused", "upstream-untrusted", "upstream-connect-timeout", "no-such-service")
)
"""Codes of an agent after which the app surely has not seen the request."""
BROKEN_OFF = frozenset(("upstream-closed",))
"""Codes of an agent after which the app may or may not have acted on the request, and is gone or going."""
MAX_LENGTH = 256
"""Characters of an agent's failure that are kept."""


def agent_failure(fields: Fields) -> tuple[str, str]:
    """Return the code of a response that the agent made itself, and the failure to log."""
    found = dict(fields)
    code = found[ERROR_FIELD].decode("latin-1")[:MAX_LENGTH]
    detail = found.get(ERROR_DETAIL_FIELD, b"").decode("latin-1")
    return code, (f"{code}: {detail}" if detail else code)[:MAX_LENGTH]


def client_answer(failure: str) -> tuple[int, str, str]:
    """Return the status, the stable code and the sentence with which a client is told of a failure."""
    code = failure.partition(":")[0]
    if code not in _ANSWERS:
        return 502, "upstream_error", "The app could not be reached."
    status, detail = _ANSWERS[code]
    return status, code.replace("-", "_"), detail
