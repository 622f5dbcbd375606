"""Reading in pieces of bounded size: what arrives is copied out of one buffer that all connections of a thread share.

A protocol that asyncio hands `bytes` gets up to 256 KB at a time. Blocks of that size are neither cheap nor kind to the
allocator's heap: between them, one that lives long pins memory that is not used.

The protocol is no heir of asyncio's classes, from which a compiled class cannot inherit. uvloop, on which the programs
run, asks for the methods alone; asyncio's own loop asks for the class, and calls `data_received` with pieces as it
makes them.
"""

from __future__ import annotations

import threading

__all__ = ["PIECE", "PieceProtocol"]

PIECE = 120 * 1024
"""Largest piece, in bytes: with its header it stays below what the allocator maps by itself."""


class _Local(threading.local):
    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(PIECE))


_local = _Local()


class PieceProtocol:
    """Gives `data_received` no more than `PIECE` bytes at a time, on uvloop."""

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        raise NotImplementedError

    def get_buffer(self, sizehint: int) -> memoryview:
        """Say where bytes are to be put (the event loop calls this, then at once `buffer_updated`)."""
        return _local.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the bytes out."""
        self.data_received(bytes(self.get_buffer(nbytes)[:nbytes]))
