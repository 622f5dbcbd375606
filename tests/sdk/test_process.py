from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

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


MAPPED = """
import asyncio, ctypes
IS_MMAPPED = 2
from backplane.cli.process import run_until_stopped

async def main(stop):
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.free(ctypes.c_void_p(libc.malloc(4_000_000)))
    header = ctypes.c_size_t.from_address(libc.malloc(1_000_000) - ctypes.sizeof(ctypes.c_size_t))
    return bool(header.value & IS_MMAPPED)

print(run_until_stopped(main))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc moves large blocks to its heap")
def test_large_blocks_stay_out_of_the_heap_also_when_one_has_been_freed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAPPED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "True\n"
