"""Schemathesis asks the API whatever its own OpenAPI document allows, and much that it does not.

There is no answer of 500 or above, none that the document does not have, and none that it describes otherwise.
`schemathesis.toml` has the settings. The token is in a variable, and nothing is drawn by chance.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .stage import Stage

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "openapi" / "openapi.json"
SETTINGS = Path(__file__).with_name("schemathesis.toml")


@pytest.mark.timeout(600)
def test_the_api_is_what_its_document_says_whatever_is_asked(stage: Stage) -> None:
    edge = stage.edge(open_metrics=False)
    token = (edge.data_dir / "admin-token").read_text().strip()
    command = [Path(sys.executable).with_name("schemathesis"), "--config-file", SETTINGS, "--no-color"]
    asked = subprocess.run(
        [*command, "run", DOCUMENT, "--url", edge.api_url],
        cwd=stage.folder,
        env={**os.environ, "BACKPLANE_API_TOKEN": token},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert asked.returncode == 0, asked.stdout[-20_000:] + asked.stderr
    assert "Tested: 0" not in asked.stdout
    assert token not in edge.stderr + edge.stdout
    assert "Traceback" not in edge.stderr
