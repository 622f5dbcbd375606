"""The routes of one host as a tree of path segments.

A request walks down as far as its segments lead, which takes no longer for ten thousand paths than for ten; of the
nodes passed, the deepest with a route whose conditions hold serves it. Trees are immutable: an edit copies the nodes
on its way, each once, and shares all others with the tree it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .compiled import Route

__all__ = ["EMPTY", "Node", "TreeEdit", "segments", "walk"]

_NO_CHILDREN: Mapping[bytes, Node] = MappingProxyType({})


class Node:
    """One segment: the routes whose path ends here, and the segments that may follow."""

    __slots__ = ("children", "routes")

    def __init__(self, children: Mapping[bytes, Node] = _NO_CHILDREN, routes: tuple[Route, ...] = ()) -> None:
        self.children = children
        self.routes = routes
        """In the order in which they are looked at."""


EMPTY = Node()


def walk(node: Node, path: bytes) -> list[Node]:
    """Return the nodes with routes on the way of `path`, which starts with a slash; the deepest first."""
    passed = [node] if node.routes else []
    start = 1
    while node.children:
        end = path.find(b"/", start)
        child = node.children.get(path[start:] if end < 0 else path[start:end])
        if child is None:
            break
        node = child
        if node.routes:
            passed.insert(0, node)
        if end < 0:
            break
        start = end + 1
    return passed


class TreeEdit:
    """Trees being changed; those that it returns are for nobody else to see before it is over."""

    __slots__ = ("_made",)

    def __init__(self) -> None:
        self._made: dict[int, dict[bytes, Node] | None] = {}
        """The children of nodes made here, by id; None for none yet. Only these are changed."""

    def add(self, root: Node, route: Route) -> tuple[Node, Node]:
        """Put a route in; return the tree's root and the route's node."""
        node = root = self._own(root)
        for segment in segments(route.path):
            children = self._children_of(node)
            node = children[segment] = self._own(children.get(segment, EMPTY))
        node.routes = (
            tuple(sorted((*node.routes, route), key=lambda one: one.order)) if node.routes else (route,)
        )
        return root, node

    def remove(self, root: Node, route: Route) -> Node:
        """Take a route out that is in, and nodes that lead nowhere with it; return the tree's root."""
        node = root = self._own(root)
        way = []
        for segment in segments(route.path):
            children = self._children_of(node)
            node = children[segment] = self._own(children[segment])
            way.append((children, segment))
        node.routes = tuple(one for one in node.routes if one is not route)
        for children, segment in reversed(way):
            if children[segment].routes or children[segment].children:
                break
            del children[segment]
        return root

    def _own(self, node: Node) -> Node:
        """Return the node itself if it was made here, else a copy."""
        if id(node) in self._made:
            return node
        copy = Node(routes=node.routes)
        children = self._made[id(copy)] = dict(node.children) if node.children else None
        if children:
            copy.children = children
        return copy

    def _children_of(self, node: Node) -> dict[bytes, Node]:
        """Return the children of a node made here, to be changed. Leaves share one empty map: most nodes are leaves."""
        children = self._made[id(node)]
        if children is None:
            children = self._made[id(node)] = {}
            node.children = children
        return children


def segments(path: str) -> list[bytes]:
    """Return the segments of a route's path."""
    return path.encode("ascii").split(b"/")[1:] if path != "/" else []
