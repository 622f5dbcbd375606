"""The application behind the tunnel: a small HTTP/1.1 server that behaves, and misbehaves, on demand.

It reads and writes HTTP/1.1 by hand on purpose. What it echoes is what was on the wire, octet for octet, and it can do
what a web framework would not let it: stop half way through a body, answer with rubbish, refuse to read.

`wire` is the protocol, `routes` the paths, `websocket` the echo behind `/ws`; `python -m tests.e2e.origin` runs it.
"""
