"""What is measured. A measure is a list of cases, and a case is one load on one system."""

from __future__ import annotations

from collections.abc import Mapping

from .bulk import Bulk
from .case import Case, Measure, Pace
from .control import Control
from .idle import Idle
from .latency import Latency
from .memory import Memory
from .requests import SIZES, SIZES_HTTP2, SMALL, SMALL_HTTP2

__all__ = ["MEASURES", "Case", "Measure", "Pace"]

MEASURES: Mapping[str, Measure] = {
    measure.name: measure
    for measure in (SMALL, SMALL_HTTP2, Latency(), SIZES, SIZES_HTTP2, Bulk(), Memory(), Idle(), Control())
}
"""All of them, by name, in the order in which they run."""
