"""From one table of routes to the next: only what changes is compiled, all else is shared.

An edit is fed changes one by one, so that whoever feeds it can do so in small pieces between other work. Nothing of it
is seen before `finish`, which says what is wrong with the whole, or returns the table that serves from then on.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..policies import Chain, PolicySpec
from ..pools import Pools
from ..route import RouteSpec
from .compiled import Route
from .shards import ShardsEdit
from .table import PolicyNames, RoutingTable
from .tree import EMPTY, Node, TreeEdit, segments

__all__ = ["TableEdit", "TableError", "compile_table"]

MAX_NAMED = 20
"""Defects that an error spells out."""


class TableError(ValueError):
    """Routes and policies that cannot be served together. `defects` says each in a sentence."""

    def __init__(self, defects: list[str]) -> None:
        more = f" (and {len(defects) - MAX_NAMED} more)" if len(defects) > MAX_NAMED else ""
        super().__init__("; ".join(defects[:MAX_NAMED]) + more)
        self.defects = defects


class TableEdit:
    """A routing table being changed."""

    def __init__(self, table: RoutingTable, pools: Pools) -> None:
        self._pools = pools
        self._routes = table.routes.edit()
        self._hosts = table.hosts.edit()
        self._suffixes = table.suffixes.edit()
        self._tree = TreeEdit()
        self._policies = dict(table.policies)
        self._chains = dict(table.chains)
        self._uses = dict(table.uses)
        self._changed_policies: set[str] = set()
        self._crowded: set[tuple[str, str]] = set()
        """Hosts and paths at which a route was put in beside others: two of them may be identical."""
        self.default_policies = table.default_policies

    def set_policy(self, spec: PolicySpec) -> None:
        """Add a policy, or replace the one of this name."""
        self._policies[spec.name] = spec.compile()
        self._changed_policies.add(spec.name)

    def remove_policy(self, name: str) -> None:
        """Take a policy out, if it is there."""
        if self._policies.pop(name, None) is not None:
            self._changed_policies.add(name)

    def set_route(self, spec: RouteSpec) -> None:
        """Add a route, or replace the one of this name. One that is not enabled is as if it were not there."""
        self.remove_route(spec.name)
        if not spec.enabled:
            return
        route = Route(spec, self._pools)
        self._routes.set(route.name, route)
        roots, host = self._roots(route)
        root, node = self._tree.add(roots.get(host) or EMPTY, route)
        roots.set(host, root)
        if len(node.routes) > 1:
            self._crowded.add((route.host, route.path))
        if route.policies:
            self._uses[route.policies] = self._uses.get(route.policies, 0) + 1

    def remove_route(self, name: str) -> None:
        """Take a route out, if it is there."""
        route = self._routes.remove(name)
        if route is None:
            return
        roots, host = self._roots(route)
        root = roots.get(host)
        assert root is not None
        root = self._tree.remove(root, route)
        if root.routes or root.children:
            roots.set(host, root)
        else:
            roots.remove(host)
        if route.policies:
            self._uses[route.policies] -= 1
            if not self._uses[route.policies]:
                del self._uses[route.policies]

    def finish(self) -> RoutingTable:
        """Return the table; the edit is over. Raises TableError."""
        defects = [*self._identical_routes(), *self._missing_policies()]
        if defects:
            raise TableError(defects)
        return RoutingTable(
            routes=self._routes.finish(),
            hosts=self._hosts.finish(),
            suffixes=self._suffixes.finish(),
            policies=self._policies,
            chains=self._compile_chains(),
            uses=self._uses,
            default_policies=self.default_policies,
        )

    def _roots(self, route: Route) -> tuple[ShardsEdit[Node], str]:
        if route.host.startswith("*."):
            return self._suffixes, route.host[2:]
        return self._hosts, route.host

    def _identical_routes(self) -> Iterable[str]:
        for host, path in self._crowded:
            roots, key = (self._suffixes, host[2:]) if host.startswith("*.") else (self._hosts, host)
            node = roots.get(key)
            for segment in segments(path):
                node = node.children.get(segment) if node is not None else None
            seen: dict[object, Route] = {}
            for route in node.routes if node is not None else ():
                other = seen.setdefault(route.identity, route)
                if other is not route:
                    yield (
                        f"routes {other.name!r} and {route.name!r} are identical (host {host}, path {path}): "
                        "change a condition or the priority of one, or disable it"
                    )

    def _missing_policies(self) -> Iterable[str]:
        for names in (*self._uses, self.default_policies):
            for name in names:
                if name not in self._policies:
                    yield f"policy {name!r} is attached to {self._users(names)}, and is not there"

    def _users(self, names: PolicyNames) -> str:
        if names not in self._uses:
            return "discovered services"
        user = next(route for route in self._all_routes() if route.policies == names)
        more = self._uses[names] - 1
        return f"route {user.name!r}" + (f" and {more} more" if more else "")

    def _all_routes(self) -> Iterable[Route]:
        return self._routes.finish()

    def _compile_chains(self) -> dict[PolicyNames, Chain | None]:
        """Return the chains in use; those without a changed policy stay as they are."""
        chains = {}
        for names in {*self._uses, self.default_policies}:
            if names in self._chains and self._changed_policies.isdisjoint(names):
                chains[names] = self._chains[names]
            else:
                chain = Chain(steps for name in names for steps in self._policies[name])
                chains[names] = None if chain.is_empty else chain
        return chains


def compile_table(
    *,
    routes: Iterable[RouteSpec],
    policies: Iterable[PolicySpec] = (),
    default_policies: PolicyNames = (),
    pools: Pools,
) -> RoutingTable:
    """Return the table of these routes and policies. Raises TableError when they cannot be served together."""
    edit = TableEdit(RoutingTable(), pools)
    for policy in policies:
        edit.set_policy(policy)
    for route in routes:
        edit.set_route(route)
    edit.default_policies = default_policies
    return edit.finish()
