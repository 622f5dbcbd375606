"""The edge's end of control calls: a method is called with its own messages, and answers with its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from ..messages import Message
from .channel import Channel, open_channel
from .method import Method, parse_message
from .status import Code, ControlError

if TYPE_CHECKING:
    from ..connection import Connection

__all__ = ["call_unary", "open_call"]

Request = TypeVar("Request", bound=Message)
Response = TypeVar("Response", bound=Message)


def open_call(
    connection: Connection,
    method: Method[Request, Response],
    *,
    nonce: str,
    on_message: Callable[[Response], None],
    on_end: Callable[[Code, str], None],
    timeout: float | None = None,
) -> Channel:
    """Open a call that goes on until one end has enough; see `Channel` for the callbacks. Raises NoFreeStream."""
    return open_channel(
        connection,
        method.name,
        nonce=nonce,
        on_message=lambda payload: on_message(parse_message(method.response, payload)),
        on_end=on_end,
        bounds=method.responses,
        timeout=method.timeout if timeout is None else timeout,
    )


def call_unary(
    connection: Connection,
    method: Method[Request, Response],
    request: Request,
    *,
    nonce: str,
    on_done: Callable[[Response | ControlError], None],
    timeout: float | None = None,
) -> Channel:
    """Ask one thing; `on_done` is called once, with the answer or with why there is none. Raises NoFreeStream.

    Cancel with `Channel.finish(Code.CANCELLED)`. `timeout` is in seconds, by default the method's own.
    """
    answers: list[Response] = []

    def on_message(answer: Response) -> None:
        if answers:
            raise ControlError(Code.UNIMPLEMENTED, f"{method.name} has one answer, and a second came")
        answers.append(answer)

    def on_end(code: Code, text: str) -> None:
        if code is not Code.OK:
            on_done(ControlError(code, text))
        elif answers:
            on_done(answers[0])
        else:
            on_done(ControlError(Code.UNIMPLEMENTED, f"{method.name} ended without an answer"))

    channel = open_call(
        connection, method, nonce=nonce, on_message=on_message, on_end=on_end, timeout=timeout
    )
    channel.send(request, last=True)
    return channel
