"""What is measured. A measure is a list of cases, and a case is one load on one system."""

from __future__ import annotations

from collections.abc import Mapping

from .case import Case, Measure, Pace
from .small import Small

__all__ = ["MEASURES", "Case", "Measure", "Pace"]

MEASURES: Mapping[str, Measure] = {measure.name: measure for measure in (Small(),)}
"""All of them, by name, in the order in which they run."""
