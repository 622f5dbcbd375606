"""What the clients say is read right, and errors are seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.load import curl
from bench.load.h2load import Row, Target, faults, percentile, read_log
from bench.load.slow import body
from bench.load.wrk import parse
from bench.origin import PATTERN
from tests.e2e.address import Address

WRK = """Running 1s test @ http://127.0.0.1:1/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   500.00us  200.00us   5.00ms   90.00%
    Req/Sec    60.00k     1.00k   61.00k    90.00%
  Latency Distribution
     50%  480.00us
     75%  520.00us
     90%  700.00us
     99%    1.50ms
  60000 requests in 1.01s, 9.04MB read
{more}Requests/sec:  59405.94
Transfer/sec:      8.95MB
"""

H2LOAD = """Application protocol: {protocol}
requests: 3 total, 3 started, 3 done, {succeeded} succeeded, {failed} failed, 0 errored, 0 timeout
"""


def test_wrk_is_read() -> None:
    run = parse(WRK.format(more=""))
    assert (run.requests, run.seconds, run.p50, run.p99) == (60000, 1.01, 0.48, 1.5)
    assert run.received == round(9.04 * 1024 * 1024)
    assert not run.faults


@pytest.mark.parametrize(
    "line",
    [
        "  Socket errors: connect 0, read 3, write 0, timeout 0\n",
        "  Socket errors: connect 0, read 0, write 0, timeout 1\n",
        "  Non-2xx or 3xx responses: 12\n",
    ],
)
def test_an_error_that_wrk_has_seen_is_a_fault(line: str) -> None:
    assert len(parse(WRK.format(more=line)).faults) == 1


def target(*, http2: bool) -> Target:
    return Target(Address("127.0.0.1", 1), "web.localhost", "/", http2=http2)


def test_h2load_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("1000000\t200\t500\n2000000\t201\t1500\n")
    rows = list(read_log(log))
    assert rows == [Row(1.0, 200, 0.0005), Row(2.0, 201, 0.0015)]
    assert percentile(50, rows) == pytest.approx(1.0)
    report = H2LOAD.format(protocol="h2", succeeded=3, failed=0)
    assert faults(report, rows, target(http2=True)) == ()


def test_a_wrong_status_protocol_or_count_is_a_fault() -> None:
    good, bad = [Row(1.0, 200, 0.1)], [Row(1.0, 200, 0.1), Row(1.0, 503, 0.1), Row(1.0, -1, 0.1)]
    fine = H2LOAD.format(protocol="h2", succeeded=3, failed=0)
    assert len(faults(fine, bad, target(http2=True))) == 2
    assert len(faults(fine.replace("h2", "http/1.1"), good, target(http2=True))) == 1
    assert len(faults(H2LOAD.format(protocol="h2", succeeded=2, failed=1), good, target(http2=True))) == 1
    assert len(faults(fine, [], target(http2=True))) == 1


def test_a_body_of_another_size_is_a_fault() -> None:
    report = "1.1 200 10 0 1.0 \n1.1 200 10 0 0.5 \n1.1 200 9 0 0.5 \n"
    seen = curl.parse(report, code=0, size=10, column=curl.DOWN, times=3, version="1.1")
    assert seen.passed == 29
    assert len(seen.faults) == 1
    assert seen.rate == pytest.approx(19e-6)


def test_an_end_of_curl_before_all_is_done_is_a_fault() -> None:
    seen = curl.parse("2 200 10 0 1.0 \n", code=18, size=10, column=curl.DOWN, times=2, version="2")
    assert len(seen.faults) == 1


def test_slow_clients_compare_each_byte() -> None:
    assert body(0, 3) == PATTERN[:3]
    assert body(len(PATTERN) - 1, 2) == PATTERN[-1:] + PATTERN[:1]
    assert len(body(5, 3 * len(PATTERN))) == 3 * len(PATTERN)
