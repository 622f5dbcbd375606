"""The command-line clients that people use: curl, nghttp, h2load."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Secure, Site

pytestmark = pytest.mark.e2e

Tool = Callable[[str], str]
CUT_SHORT = {"--http1.1": {18, 56}, "--http2": {92}}
"""How curl ends: a part of the file is missing (18), or the connection (56) or the stream (92) was reset."""


def run(*command: object) -> subprocess.CompletedProcess[bytes]:
    """Run a client to its end."""
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=60, check=False)


def by_address(secure: Secure) -> str:
    """Return the base of URLs for clients that cannot be told where a name is; the default service answers."""
    return f"https://{secure.address}"


def curl(tool: Tool, secure: Secure, *options: object) -> subprocess.CompletedProcess[bytes]:
    """Run curl so that it finds and trusts the shared site."""
    resolve = f"web.localhost:{secure.address.port}:127.0.0.1"
    trust = ("--cacert", secure.certificate.chain, "--resolve", resolve, "--noproxy", "*")
    return run(tool("curl"), "--silent", "--show-error", *trust, *options)


@pytest.mark.parametrize(
    ("option", "version"), [("--http2", "2"), ("--http1.1", "1.1"), ("--http1.0", "1.1")]
)
def test_curl_gets_the_page_over_tls(secure: Secure, tool: Tool, option: str, version: str) -> None:
    done = curl(tool, secure, option, "--write-out", "%{http_code} %{http_version}", secure.url)
    assert done.stdout.decode() == f"hello from origin\n200 {version}", done.stderr


def test_curl_gets_the_page_over_plain_http(site: Site, tool: Tool) -> None:
    done = run(tool("curl"), "--silent", "--show-error", "--noproxy", "*", f"http://{site.address}/")
    assert done.stdout == b"hello from origin\n", done.stderr


@pytest.mark.parametrize("option", ["--http2", "--http1.1"])
@pytest.mark.parametrize("length", [True, False])
def test_curl_uploads_a_file(
    secure: Secure, tool: Tool, tmp_path: Path, option: str, *, length: bool
) -> None:
    content = bytes(range(256)) * 8192
    file = tmp_path / "upload"
    file.write_bytes(content)
    framing = () if length else ("-H", "Transfer-Encoding: chunked")
    done = curl(tool, secure, option, *framing, "--upload-file", file, f"{secure.url}/echo")
    assert hashlib.sha256(content).hexdigest().encode() in done.stdout, done.stderr


@pytest.mark.parametrize("option", ["--http2", "--http1.1"])
def test_curl_head_shows_the_length(secure: Secure, tool: Tool, option: str) -> None:
    done = curl(tool, secure, option, "--head", f"{secure.url}/bytes/1234567")
    assert b"content-length: 1234567" in done.stdout.lower(), done.stderr


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("option", CUT_SHORT)
def test_curl_reports_a_response_cut_half_way(secure: Secure, tool: Tool, option: str, framing: str) -> None:
    done = curl(tool, secure, option, "--output", "/dev/null", f"{secure.url}/cut/{framing}")
    assert done.returncode in CUT_SHORT[option], done.stderr


def test_nghttp_sends_and_receives_trailers(secure: Secure, tool: Tool, tmp_path: Path) -> None:
    body = tmp_path / "body"
    body.write_bytes(b"body")
    quiet = (
        "--no-verify-peer",
        "--data",
        body,
        "--no-content-length",
        "-H",
        ":method: POST",
        "--trailer",
        "x-sum: 42",
    )
    echoed = run(tool("nghttp"), *quiet, f"{by_address(secure)}/echo")
    assert re.search(rb'"trailers": \[\["[Xx]-[Ss]um", "42"\]\]', echoed.stdout), (
        echoed.stdout + echoed.stderr
    )
    shown = run(tool("nghttp"), "--no-verify-peer", "--verbose", f"{by_address(secure)}/trailers")
    assert b"x-checksum: abc123" in shown.stdout, shown.stdout + shown.stderr


def test_nghttps_cookie_crumbs_are_joined(secure: Secure, tool: Tool) -> None:
    crumbs = ("-H", "cookie: a=1", "-H", "cookie: b=2")
    done = run(tool("nghttp"), "--no-verify-peer", *crumbs, f"{by_address(secure)}/echo")
    assert b"a=1; b=2" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_h2load_sees_no_failed_request(secure: Secure, tool: Tool, protocol: str) -> None:
    amount = ("--requests=2000", "--clients=16", f"--max-concurrent-streams={8 if protocol == 'h2' else 1}")
    done = run(tool("h2load"), *amount, f"--npn-list={protocol}", f"{by_address(secure)}/")
    assert b"2000 succeeded, 0 failed, 0 errored, 0 timeout" in done.stdout, done.stdout + done.stderr
    assert b"2000 2xx" in done.stdout
