"""The management API as attributes of a client, each twice: for programs that wait, and for coroutines."""

from __future__ import annotations
