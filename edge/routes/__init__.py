"""Routing: from what operators write to what a request meets.

`compile_table` and `TableEdit` make a `RoutingTable` of `edge.route.RouteSpec`s; the table finds the `Route` that
serves a request, in a time that does not depend on how many there are.
"""

from __future__ import annotations

from .compiled import Route, Target
from .edit import TableEdit, TableError, compile_table
from .table import RoutingTable, host_of

__all__ = ["Route", "RoutingTable", "TableEdit", "TableError", "Target", "compile_table", "host_of"]
