from __future__ import annotations

import asyncio
import math
import os
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from app.metrics import EdgeMetrics
from app.state import EdgeState
from edge.port import DURATION_BOUNDS, PlaneReady, RegistryState, RequestCount

from .notices import make_counters, make_instance


def scrape(*notices: Any) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample of the edge's own metrics by name and labels."""

    async def main() -> bytes:
        state = EdgeState()
        for notice in notices:
            state.on_notice(notice)
        return EdgeMetrics(state).render()

    families = text_string_to_metric_families(asyncio.run(main()).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if sample.name.startswith("backplane_")
    }


def test_instances_are_counted_by_service_zone_and_health() -> None:
    instances = (
        make_instance(),
        make_instance(),
        make_instance(healthy=0),
        make_instance(tunnels=0),
        make_instance().model_copy(update={"drained": True}),
        make_instance("api", zone="z"),
    )
    samples = scrape(RegistryState(instances=instances, tunnels=9))
    found = {labels: value for (name, labels), value in samples.items() if name == "backplane_instances"}
    assert {tuple(dict(labels).values()): value for labels, value in found.items()} == {
        ("healthy", "web", ""): 2,
        ("unhealthy", "web", ""): 1,
        ("draining", "web", ""): 2,
        ("healthy", "api", "z"): 1,
    }
    assert samples["backplane_tunnels", ()] == 9


def test_an_edge_that_has_counted_nothing_can_be_scraped() -> None:
    assert scrape() == {("backplane_tunnels", ()): 0}


def test_totals_and_gauges_are_the_data_planes() -> None:
    requests = (RequestCount(service="web", status_class="2xx", count=8),)
    samples = scrape(make_counters(requests=requests))
    assert samples["backplane_requests_total", (("service", "web"), ("status", "2xx"))] == 8
    assert [
        samples[f"backplane_{name}", ()]
        for name in (
            "request_body_bytes_total",
            "response_body_bytes_total",
            "retries_total",
            "requests_in_flight",
            "public_connections",
            "tunnels_opened_total",
            "registrations_refused_total",
        )
    ] == [1, 2, 3, 4, 5, 6, 7]


def test_durations_make_a_cumulative_histogram() -> None:
    samples = scrape(make_counters())
    name = "backplane_request_duration_seconds"
    buckets = {
        float(dict(labels)["le"]): value
        for (found, labels), value in samples.items()
        if found == f"{name}_bucket"
    }
    assert list(buckets) == [*DURATION_BOUNDS, math.inf]
    values = list(buckets.values())
    assert values == sorted(values)
    assert samples[f"{name}_count", ()] == values[-1] == sum(range(len(DURATION_BOUNDS) + 1))
    assert samples[f"{name}_sum", ()] == 12.5


def test_the_data_planes_process_is_told_apart_from_this_one() -> None:
    def start_times(*notices: Any) -> list[float]:
        samples = scrape(*notices)
        return [value for (name, _), value in samples.items() if "process_start_time" in name]

    assert start_times() == []
    assert len(start_times(PlaneReady(public="a:1", tunnel="b:2", pid=os.getppid()))) == 1
