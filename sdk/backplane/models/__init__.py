"""What the management API takes and gives. A field that a newer edge has and this version does not is kept as it is."""

from __future__ import annotations

from .config import ConfigChange, ConfigResult
from .events import Event, StreamedEvent
from .explanation import ExplainedInstance, ExplainedTarget, Explanation, Question
from .live import Drain, Edge, Instance, InstanceCount, Service, SnapshotVersion, Tunnel, ZoneCount
from .policies import FieldEdits, HeadersRule, IpRule, OtherRule, Policy
from .routes import HeaderMatch, QueryMatch, Route, Target
from .shared import Model, Page, Warned
from .tokens import ApiToken, ApiTokenInput, CreatedToken, JoinToken, JoinTokenInput

__all__ = [
    "ApiToken",
    "ApiTokenInput",
    "ConfigChange",
    "ConfigResult",
    "CreatedToken",
    "Drain",
    "Edge",
    "Event",
    "ExplainedInstance",
    "ExplainedTarget",
    "Explanation",
    "FieldEdits",
    "HeaderMatch",
    "HeadersRule",
    "Instance",
    "InstanceCount",
    "IpRule",
    "JoinToken",
    "JoinTokenInput",
    "Model",
    "OtherRule",
    "Page",
    "Policy",
    "QueryMatch",
    "Question",
    "Route",
    "Service",
    "SnapshotVersion",
    "StreamedEvent",
    "Target",
    "Tunnel",
    "Warned",
    "ZoneCount",
]
