from __future__ import annotations

from pathlib import Path

import pytest

from app.database_url import DatabaseUrl

SECRET = "sword%2Ffish"


@pytest.mark.parametrize(
    ("text", "dsn", "password"),
    [
        ("postgresql://h/db", "postgresql://h/db", None),
        (
            f"postgres://u:{SECRET}@h:5/db?sslmode=require",
            "postgresql://u@h:5/db?sslmode=require",
            "sword/fish",
        ),
        ("postgresql://u@[::1]:5/db", "postgresql://u@[::1]:5/db", None),
    ],
)
def test_a_password_is_kept_apart_from_the_url(text: str, dsn: str, password: str | None) -> None:
    url = DatabaseUrl.parse(text)
    assert (url.dsn, url.password) == (dsn, password)
    assert "sword" not in f"{url} {url!r}"


def test_a_password_from_elsewhere_goes_first() -> None:
    assert DatabaseUrl.parse("postgresql://u:a@h/db", password="b").password == "b"


@pytest.mark.parametrize(
    "text", ["mysql://u:sword@h/db", "postgresql://u:sword@h", "postgresql://u:sword@h:x/db", "sword"]
)
def test_a_wrong_url_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="database URL") as caught:
        DatabaseUrl.parse(text)
    assert "sword" not in str(caught.value)


def test_sqlite_is_a_file_of_the_data_directory() -> None:
    url = DatabaseUrl.sqlite(Path("data"))
    assert (url.path, str(url), url.is_sqlite) == (
        Path("data/backplane.sqlite"),
        "data/backplane.sqlite",
        True,
    )
