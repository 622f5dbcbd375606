"""What a control method is: its messages, and what each end allows the other in a call of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from ..engine.session import Rate
from ..messages import AgentMessage, EdgeMessage, Inspection, InspectRequest, Message, PollRequest, Report
from ..wire import CONTROL_PATH
from .framing import MAX_MESSAGE
from .status import Code, ControlError

__all__ = ["INSPECT", "METHODS", "POLL", "SYNC", "Bounds", "Method", "parse_message"]

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)
Parsed = TypeVar("Parsed", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one end takes in one call; what is more ends it with RESOURCE_EXHAUSTED."""

    max_size: int = MAX_MESSAGE
    """Bytes of a message."""
    rate: Rate | None = None
    """Messages, where each 4 KiB of one count as one more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[Request, Response]):
    """One method of `h2s.v1.Control`, which the edge calls on the agent."""

    name: str
    request: type[Request]
    response: type[Response]
    unary: bool
    """One message each way; otherwise any number, in both directions at once."""
    timeout: float | None
    """Seconds that a call may take if the caller does not say; None: as long as the tunnel."""
    requests: Bounds = Bounds()
    responses: Bounds = Bounds()
    at_once: int
    """Calls that may be open on one tunnel."""

    @property
    def path(self) -> bytes:
        """The request's `:path`."""
        return CONTROL_PATH + self.name.encode()


CHATTER = Rate(per_second=100, burst=1000)
SYNC = Method(
    name="Sync",
    request=EdgeMessage,
    response=AgentMessage,
    unary=False,
    timeout=None,
    requests=Bounds(rate=CHATTER),
    responses=Bounds(rate=CHATTER),
    at_once=1,
)
"""The conversation that a tunnel lives by."""
POLL = Method(
    name="Poll",
    request=PollRequest,
    response=Report,
    unary=True,
    timeout=10.0,
    requests=Bounds(max_size=4096),
    at_once=4,
)
"""The edge asks how everything is."""
INSPECT = Method(
    name="Inspect",
    request=InspectRequest,
    response=Inspection,
    unary=True,
    timeout=10.0,
    requests=Bounds(max_size=4096),
    at_once=4,
)
"""What an operator wants to see of a live agent."""
METHODS: dict[str, Method[Any, Any]] = {SYNC.name: SYNC, POLL.name: POLL, INSPECT.name: INSPECT}
"""All there are, by name."""


def parse_message(model: type[Parsed], payload: bytes) -> Parsed:
    """Return the message in a payload. Raises ControlError that says what is wrong with it, and where."""
    try:
        return model.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        text = f"{where}: {first['msg']}" if where else first["msg"]
        raise ControlError(Code.INVALID_ARGUMENT, f"no valid {model.__name__}: {text}"[:200]) from None
