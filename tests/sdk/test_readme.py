"""The examples of the SDK's README, as they are, but for the port of the edge."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import backplane
from backplane import AsyncClient, Client
from tests.e2e.stage import Edge

README = (Path(__file__).resolve().parents[2] / "sdk" / "README.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("client")
def test_examples_do_what_they_say(edge: Edge, tmp_path: Path) -> None:
    (tmp_path / "edge-data").symlink_to(edge.data_dir)
    told = []
    for example in EXAMPLES:
        code = example.replace("127.0.0.1:7000", str(edge.api))
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        told.append(done.stdout)
    assert len(told) == 2
    assert told[0].endswith(" healthy\n")
    assert told[1] == "v1=0 v2=100\n"


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_table_has_all_that_there_is(kind: type[Client | AsyncClient], edge: Edge) -> None:
    rows = re.findall(r"^\| (`.*?`) \| (`.*?`) \|$", README, re.MULTILINE)
    client = kind.local(edge.data_dir)
    named = {
        name: set(re.findall(r"`(\w+)`", methods))
        for names, methods in rows
        for name in re.findall(r"\w+", names)
    }
    found = {
        name: {method for method in dir(resource) if not method.startswith("_")}
        for name, resource in vars(client).items()
        if not name.startswith("_") and name != "endpoint"
    }
    assert found == named


def test_every_name_of_the_package_is_there() -> None:
    assert [name for name in backplane.__all__ if getattr(backplane, name, None) is None] == []
    with pytest.raises(AttributeError):
        backplane.nothing  # type: ignore[attr-defined]  # noqa: B018
