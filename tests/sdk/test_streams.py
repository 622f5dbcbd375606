from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
from backplane.cli.streams import open_standard_streams

open_standard_streams()
print("out")
print("err", file=sys.stderr)
opened = os.open("/dev/null", os.O_RDONLY)
kept = [os.readlink(f"/proc/self/fd/{number}") == "/dev/null" for number in (0, 1, 2)]
with open(sys.argv[1], "w") as report:
    print(opened > 2, *kept, sys.stdin is not None, file=report)
"""


@pytest.mark.parametrize("closed", ["", "0", "1", "2", "12", "012"])
def test_a_closed_stream_is_the_null_device_and_no_file_gets_its_number(
    tmp_path_factory: pytest.TempPathFactory, closed: str
) -> None:
    report = tmp_path_factory.mktemp("streams") / "report"
    shut = " ".join(f"{number}>&-" for number in closed)
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {shut}', "sh", sys.executable, "-W", "error", "-c", PROGRAM, str(report)],
        stdin=subprocess.PIPE,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    expected = [True, "0" in closed, "1" in closed, "2" in closed, True]
    assert report.read_text().split() == [str(one) for one in expected]
    assert done.stdout == ("" if "1" in closed else "out\n")
    assert done.stderr == ("" if "2" in closed else "err\n")
