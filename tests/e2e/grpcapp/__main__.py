"""Serve `test.Echo` on a port of loopback, and say so on stdout."""

from __future__ import annotations

import argparse
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc


def unary(request: bytes, context: Any) -> bytes:
    """Give the request back, with its metadata `x-ask` as initial and trailing metadata."""
    asked = dict(context.invocation_metadata()).get("x-ask", "")
    context.send_initial_metadata((("x-told-first", asked),))
    context.set_trailing_metadata((("x-told-last", asked),))
    return request


def chat(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    """Answer each message as it comes."""
    for request in requests:
        yield b"re: " + request


def count(request: bytes, context: Any) -> Iterator[bytes]:
    """Send as many messages of 32 KiB as the request says."""
    for number in range(int(request)):
        yield number.to_bytes(4, "big") * 8192


def collect(requests: Iterator[bytes], context: Any) -> bytes:
    """Say how many bytes came."""
    return str(sum(len(request) for request in requests)).encode()


def fail(request: bytes, context: Any) -> bytes:
    """Fail before anything was sent: the answer is nothing but trailers."""
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not like this: 100 %")
    raise AssertionError


def left(request: bytes, context: Any) -> bytes:
    """Say how many clients have left."""
    return str(len(LEFT)).encode()


def hang(request: bytes, context: Any) -> Iterator[bytes]:
    """Send a message, then nothing until the client leaves."""
    gone = threading.Event()
    context.add_callback(gone.set)
    yield b"begun"
    gone.wait(60)
    LEFT.append(request)


LEFT: list[bytes] = []
STATE = [b"\x08\x01"]


def set_state(request: bytes, context: Any) -> bytes:
    """Say from now on that this server serves, or not."""
    STATE[0] = b"\x08" + request
    return b""


def check(request: bytes, context: Any) -> bytes:
    """Answer as gRPC's health service does."""
    return STATE[0]


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", default="grpc")
    arguments = parser.parse_args()
    methods = {
        "Unary": grpc.unary_unary_rpc_method_handler(unary),
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "State": grpc.unary_unary_rpc_method_handler(set_state),
        "Left": grpc.unary_unary_rpc_method_handler(left),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Hang": grpc.unary_stream_rpc_method_handler(hang),
        "Collect": grpc.stream_unary_rpc_method_handler(collect),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
    }
    server = grpc.server(ThreadPoolExecutor(16))
    health = {"Check": grpc.unary_unary_rpc_method_handler(check)}
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("test.Echo", methods),
            grpc.method_handlers_generic_handler("grpc.health.v1.Health", health),
        )
    )
    assert server.add_insecure_port(f"127.0.0.1:{arguments.port}") == arguments.port
    server.start()
    print("serving", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
