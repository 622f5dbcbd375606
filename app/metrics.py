"""`/metrics`: what the data planes counted, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from edge.port import DURATION_BOUNDS, Counters, InstanceState

from .state import EdgeState

__all__ = ["EdgeMetrics"]


class EdgeMetrics(Collector):
    """Translates the state at each scrape; nothing is counted twice."""

    def __init__(self, state: EdgeState) -> None:
        self._state = state
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        ProcessCollector("backplane_data_plane", pid=self._plane_pid, registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def render(self) -> bytes:
        """Return the metrics as text (version 0.0.4 of the format)."""
        return generate_latest(self._registry)

    def _plane_pid(self) -> int:
        """Return the data plane's process; while there is none, a number that no process has."""
        return self._state.ready.pid if self._state.ready is not None else -1

    def collect(self) -> Iterator[Metric]:
        """Give every metric family (prometheus_client calls this)."""
        yield from self._registry_metrics()
        if self._state.counters is not None:
            yield from _traffic_metrics(self._state.counters)

    def _registry_metrics(self) -> Iterator[Metric]:
        instances = self._state.instances
        gauge = GaugeMetricFamily(
            "backplane_instances", "Instances connected to this edge.", labels=["service", "zone", "health"]
        )
        counts = Counter(
            (
                one.service,
                one.zone,
                _health(one),
            )
            for one in instances
        )
        for labels, count in counts.items():
            gauge.add_metric(list(labels), count)
        yield gauge
        tunnels = GaugeMetricFamily("backplane_tunnels", "Tunnels that stand.")
        tunnels.add_metric([], self._state.tunnels)
        yield tunnels


def _health(one: InstanceState) -> str:
    if one.reconnecting:
        return "reconnecting"
    if one.drained or not one.tunnels:
        return "draining"
    if one.ejected:
        return "ejected"
    return "healthy" if one.healthy else "unhealthy"


def _traffic_metrics(counters: Counters) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "backplane_requests",
        "Public requests answered, by service (empty: none matched) and class of status.",
        labels=["service", "status"],
    )
    for item in counters.requests:
        requests.add_metric([item.service, item.status_class], item.count)
    yield requests
    yield _durations(counters)
    totals = {
        "backplane_request_body_bytes": ("Bytes of request bodies received.", counters.bytes_in),
        "backplane_response_body_bytes": ("Bytes of response bodies sent.", counters.bytes_out),
        "backplane_retries": ("Requests that were tried on another instance or tunnel.", counters.retries),
        "backplane_tunnels_opened": ("Tunnels that came about.", counters.tunnels_opened),
        "backplane_registrations_refused": ("Agents that were refused.", counters.registrations_refused),
    }
    for name, (text, value) in totals.items():
        yield CounterMetricFamily(name, text, value=value)
    now = {
        "backplane_requests_in_flight": ("Public requests in flight.", counters.in_flight),
        "backplane_requests_waiting": (
            "Public requests in flight that wait for an instance with room.",
            counters.waiting,
        ),
        "backplane_public_connections": ("Open connections of public clients.", counters.public_connections),
    }
    for name, (text, value) in now.items():
        yield GaugeMetricFamily(name, text, value=value)


def _durations(counters: Counters) -> Metric:
    family = HistogramMetricFamily(
        "backplane_request_duration_seconds", "From a request's first byte to the end of its answer."
    )
    buckets: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip((*DURATION_BOUNDS, float("inf")), counters.duration_buckets, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(bound), total))
    family.add_metric([], buckets, sum_value=counters.duration_sum)
    return family
