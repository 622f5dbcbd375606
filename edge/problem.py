"""Answers that the edge itself makes, as RFC 9457 problems.

`problem` builds one. `Refusal` is raised where a request is found to be unacceptable and caught where it can be
answered; nothing else is made of it.
"""

from __future__ import annotations

import json
from http import HTTPStatus

from h2s.engine.session import Fields

__all__ = ["Refusal", "problem"]

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Refusal(Exception):
    """A request that the edge answers with an error by itself.

    `code` is the stable reason for programs, `detail` the sentence for people; `fields` go into the answer's head.
    """

    def __init__(self, status: int, code: str, detail: str, *, fields: Fields | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.fields = fields or []


def problem(status: int, code: str, detail: str, request_id: bytes = b"") -> tuple[Fields, bytes]:
    """Build a problem: the response's fields, Content-Length among them, and its body.

    `code` is the stable, machine-readable reason; `request_id` is left out when empty. Source: RFC 9457 §3.
    """
    members: dict[str, object] = {
        "type": "about:blank",
        "title": _PHRASES.get(status, "Error"),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if request_id:
        members["request_id"] = request_id.decode("latin-1")
    body = json.dumps(members, separators=(",", ":")).encode()
    fields = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    return fields, body
