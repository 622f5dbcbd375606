"""The WebSocket echo (RFC 6455), on the sans-I/O half of the `websockets` library.

Messages come back as they were sent. Two commands let a test see the other direction: the text `!ping` makes the
server send a ping and answer with the text `pong` when it is answered, and `!close CODE` makes it close with that code.
"""

from __future__ import annotations

from collections.abc import Sequence

from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from .wire import PIECE, Exchange

__all__ = ["echo"]

MAX_MESSAGE = 4 * 1024 * 1024


async def echo(exchange: Exchange) -> None:
    """Accept the upgrade and echo until the connection is closed."""
    exchange.close = True
    protocol = ServerProtocol(
        extensions=[ServerPerMessageDeflateFactory()], select_subprotocol=select, max_size=MAX_MESSAGE
    )
    protocol.receive_data(exchange.request.head)
    [request] = protocol.events_received()
    assert isinstance(request, Request)
    protocol.send_response(protocol.accept(request))
    conversation = Conversation(protocol)
    await flush(exchange, protocol)
    while data := await exchange.reader.read(PIECE):
        protocol.receive_data(data)
        for event in protocol.events_received():
            assert isinstance(event, Frame)
            conversation.take(event)
        await flush(exchange, protocol)
        if protocol.close_expected():
            return


def select(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    """Take the subprotocol `echo` if the client offers it."""
    return next((name for name in offered if name == "echo"), None)


async def flush(exchange: Exchange, protocol: ServerProtocol) -> None:
    """Write what the protocol has to say; its end of the stream is the connection's."""
    for data in protocol.data_to_send():
        if data:
            await exchange.write(data)


class Conversation:
    """Puts the frames of a message together and answers it."""

    def __init__(self, protocol: ServerProtocol) -> None:
        self.protocol = protocol
        self.opcode = Opcode.TEXT
        self.parts: list[bytes] = []

    def take(self, frame: Frame) -> None:
        """Take the next frame from the client."""
        if frame.opcode is Opcode.PONG and bytes(frame.data) == b"are you there":
            self.protocol.send_text(b"pong")
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self.opcode = frame.opcode
        self.parts.append(bytes(frame.data))
        if frame.fin:
            message, self.parts = b"".join(self.parts), []
            self.answer(message)

    def answer(self, message: bytes) -> None:
        """Obey a command, or send the message back as it came."""
        if message == b"!ping":
            self.protocol.send_ping(b"are you there")
        elif message.startswith(b"!close "):
            self.protocol.send_close(int(message.split()[1]), "as you wish")
        elif self.opcode is Opcode.TEXT:
            self.protocol.send_text(message)
        else:
            self.protocol.send_binary(message)
