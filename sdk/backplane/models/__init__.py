"""What the management API takes and gives. A field that a newer edge has and this version does not is kept as it is."""

from __future__ import annotations

from .explanation import ExplainedInstance, ExplainedTarget, Explanation, Question
from .policies import FieldEdits, HeadersRule, IpRule, OtherRule, Policy
from .routes import HeaderMatch, QueryMatch, Route, Target
from .shared import Model, Page, Warned

__all__ = [
    "ExplainedInstance",
    "ExplainedTarget",
    "Explanation",
    "FieldEdits",
    "HeaderMatch",
    "HeadersRule",
    "IpRule",
    "Model",
    "OtherRule",
    "Page",
    "Policy",
    "QueryMatch",
    "Question",
    "Route",
    "Target",
    "Warned",
]
