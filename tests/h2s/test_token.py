from __future__ import annotations

import contextlib
import hashlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from h2s.errors import H2SError
from h2s.token import SECRET_SIZE, InvalidToken, JoinToken


def der(body: bytes) -> bytes:
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


TOKEN = JoinToken(der(b"c" * 300), b"s" * SECRET_SIZE)


@given(st.binary(min_size=256, max_size=600), st.binary(min_size=SECRET_SIZE, max_size=SECRET_SIZE))
def test_token_is_read_back_as_written(body: bytes, secret: bytes) -> None:
    token = JoinToken(der(body), secret)
    text = token.encode()
    assert "\n" not in text
    assert "=" not in text
    assert JoinToken.parse(f" {text}\n") == token


def test_secret_is_not_shown_by_repr() -> None:
    assert "ssss" not in repr(TOKEN)


def test_hash_is_of_the_secret_alone() -> None:
    assert TOKEN.secret_hash == hashlib.sha256(b"s" * SECRET_SIZE).hexdigest()


def test_certificate_is_given_in_pem() -> None:
    assert ssl.PEM_cert_to_DER_cert(TOKEN.ca_pem) == TOKEN.ca_der


_, CA, SECRET = TOKEN.encode().split(".")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("hello", "is not a join token"),
        (f"h2s2.{CA}.{SECRET}", "version h2s2"),
        (f"h2s1.{CA}", "2 parts where 3 are due"),
        (f"h2s1.{CA}.{SECRET}.x", "4 parts where 3 are due"),
        (f"h2s1.{CA[:-4]}.{SECRET}", "CA certificate is damaged"),
        (f"h2s1.{CA}!.{SECRET}", "CA certificate is not base64url"),
        (f"h2s1..{SECRET}", "CA certificate is not base64url"),
        (f"h2s1.{CA}.{SECRET[:-4]}", "secret has 29 bytes where 32 are due"),
        (f"h2s1.{CA}.{SECRET[:-2]}", "secret is not base64url"),
    ],
)
def test_what_is_no_token_is_refused_in_one_line(text: str, reason: str) -> None:
    with pytest.raises(InvalidToken, match=reason) as caught:
        JoinToken.parse(text)
    assert "\n" not in str(caught.value)
    assert SECRET[:12] not in str(caught.value)


@given(st.text())
def test_any_text_is_a_token_or_a_typed_error(text: str) -> None:
    for candidate in (text, f"h2s1.{text}", f"h2s1.{CA}.{text}"):
        with contextlib.suppress(H2SError):
            JoinToken.parse(candidate)
