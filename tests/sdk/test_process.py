from __future__ import annotations

import resource
import subprocess
import sys

PROGRAM = """
import asyncio, resource
from backplane.cli.process import run_until_stopped

async def main(stop):
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]

print(run_until_stopped(main))
"""


def test_a_server_may_open_as_many_files_as_the_system_lets_it() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lower = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, {hard}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{lower}\n{PROGRAM}"], capture_output=True, text=True, check=True, timeout=60
    )
    assert int(done.stdout) == hard
