from __future__ import annotations

from pathlib import Path

import pytest

from app.database.schema import SCHEMA
from backplane.cli.program import run

from .postgres import PostgresServer


def test_a_servers_database_is_upgraded_once(
    postgres: PostgresServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.create()
    assert run(["db", "upgrade", "--database-url", url]) == 0
    assert run(["db", "upgrade", "--database-url", url]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"{url}: schema {SCHEMA} (was empty)"
    assert second == f"{url}: schema {SCHEMA}"


def test_a_file_is_upgraded_where_there_is_a_directory(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["db", "upgrade", "--data-dir", str(tmp_path)]) == 0
    assert run(["db", "upgrade", "--data-dir", str(tmp_path / "none")]) == 2
    assert "there is no directory" in capsys.readouterr().err


def test_a_server_that_is_not_there_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["db", "upgrade", "--database-url", "postgresql://nobody@127.0.0.1:1/none"]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("error: the database is not available: ")
