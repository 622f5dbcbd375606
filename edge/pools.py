"""Which instances a selector picks, kept up to date as instances come and go.

A *pool* is the list of routable instances of one selector; targets that mean the same share it. It is filled when a
request first needs it, and from then on follows the registry: not per request and not per Report, but when an
instance becomes routable or stops being so. `Pools` has an index for both directions. Instances are filed under each
of their labels, so that filling a pool looks at those of its rarest label only; pools are filed under one label that
all their instances have, so that an instance meets only pools that may want it. Ten thousand instances, or a hundred
thousand pools, cost what is touched.

A pool that no route holds any more is forgotten by itself.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import lru_cache

from .registry import Instance, Registry
from .selector import Selector, facts

__all__ = ["Candidates", "Pool", "Pools"]

Pair = tuple[str, str]

ANYTHING: Pair = ("", "")
"""Filed under this: every instance, and pools that name no label with one value."""


FORGOTTEN_AT_ONCE = 1000
"""Pools; more are left for the next time."""


class Candidates:
    """The instances of a pool, as `edge.balance` picks from them."""

    __slots__ = ("_all_at", "_local_at", "all", "local")

    def __init__(self) -> None:
        self.all: list[Instance] = []
        self.local: list[Instance] = []
        """Those in the edge's own zone."""
        self._all_at: dict[Instance, int] = {}
        self._local_at: dict[Instance, int] = {}

    def add(self, instance: Instance, *, local: bool) -> None:
        """Take an instance in."""
        _append(self.all, self._all_at, instance)
        if local:
            _append(self.local, self._local_at, instance)

    def __contains__(self, instance: Instance) -> bool:
        return instance in self._all_at

    def remove(self, instance: Instance) -> None:
        """Take an instance out, if it is in."""
        _remove(self.all, self._all_at, instance)
        _remove(self.local, self._local_at, instance)


def _append(items: list[Instance], places: dict[Instance, int], instance: Instance) -> None:
    if instance not in places:
        places[instance] = len(items)
        items.append(instance)


def _remove(items: list[Instance], places: dict[Instance, int], instance: Instance) -> None:
    """Put the last one in its place: lists are long, and their order means nothing."""
    place = places.pop(instance, None)
    if place is None:
        return
    last = items.pop()
    if last is not instance:
        items[place] = last
        places[last] = place


class Pool:
    """The routable instances that a selector picks."""

    __slots__ = ("__weakref__", "_candidates", "_pools", "selector")

    def __init__(self, selector: Selector, pools: Pools) -> None:
        self.selector = selector
        self._pools = pools
        self._candidates: Candidates | None = None

    @property
    def candidates(self) -> Candidates:
        """Its instances. The first call fills it."""
        found = self._candidates
        if found is None:
            found = self._candidates = self._pools.fill(self)
        return found


class Pools:
    """All pools of one data plane; an `edge.registry.Listener`."""

    def __init__(self, registry: Registry) -> None:
        self._zone = registry.zone
        self._pools: weakref.WeakValueDictionary[str, Pool] = weakref.WeakValueDictionary()
        self._instances: dict[Pair, dict[Instance, None]] = {ANYTHING: {}}
        """Routable instances by each label."""
        self._filled: dict[Pair, dict[weakref.ref[Pool], Candidates]] = {}
        """Pools in use, each under one label that all of its instances have."""
        self._gone: list[tuple[Pair, weakref.ref[Pool]]] = []
        """Pools that nobody holds any more, to be taken out of `_filled` when it is next used."""
        registry.listeners.append(self)
        for agent in registry.agents.values():
            for instance in agent.instances.values():
                if instance.listed:
                    self.on_listed(instance)

    def get(self, text: str) -> Pool:
        """Return the pool of a selector, given as its text. Raises SelectorError."""
        selector, canonical = _parse(text)
        pool = self._pools.get(canonical)
        if pool is None:
            pool = self._pools[canonical] = Pool(selector, self)
        return pool

    def fill(self, pool: Pool) -> Candidates:
        """Return the pool's instances, which follow the registry as long as the pool is there."""
        self._forget_gone()
        selector = pool.selector
        pairs = selector.pairs or (ANYTHING,)
        candidates = Candidates()
        rarest = min((self._instances.get(pair, {}) for pair in pairs), key=len)
        for instance in rarest:
            if selector.matches(_facts(instance)):
                candidates.add(instance, local=self._is_local(instance))
        home = min(pairs, key=lambda pair: len(self._filled.get(pair, ())))
        reference = weakref.ref(pool, lambda gone: self._gone.append((home, gone)))
        self._filled.setdefault(home, {})[reference] = candidates
        return candidates

    # -- edge.registry.Listener --------------------------------------------------------------------------------------

    def on_listed(self, instance: Instance) -> None:
        """An instance takes requests from now on."""
        self._forget_gone()
        known = _facts(instance)
        local = self._is_local(instance)
        for pair in (ANYTHING, *known.items()):
            self._instances.setdefault(pair, {})[instance] = None
            for reference, candidates in self._filled.get(pair, {}).items():
                pool = reference()
                if pool is not None and pool.selector.matches(known):
                    candidates.add(instance, local=local)

    def on_unlisted(self, instance: Instance) -> None:
        """An instance takes no requests any more."""
        self._forget_gone()
        for pair in (ANYTHING, *_facts(instance).items()):
            filed = self._instances[pair]
            del filed[instance]
            if not filed and pair != ANYTHING:
                del self._instances[pair]
            for candidates in self._filled.get(pair, {}).values():
                candidates.remove(instance)

    def on_room(self, instance: Instance) -> None:
        """Nothing to do: it is in its pools as long as it is routable, however full it is."""

    def _forget_gone(self) -> None:
        for _ in range(min(len(self._gone), FORGOTTEN_AT_ONCE)):
            home, reference = self._gone.pop()
            filed = self._filled[home]
            del filed[reference]
            if not filed:
                del self._filled[home]

    def _is_local(self, instance: Instance) -> bool:
        return instance.agent.zone == self._zone

    @property
    def in_use(self) -> Iterable[str]:
        """The selectors whose pools are filled, for tests and for people."""
        pools = (reference() for filed in self._filled.values() for reference in filed)
        return [str(pool.selector) for pool in pools if pool is not None]


def _facts(instance: Instance) -> dict[str, str]:
    agent = instance.agent
    return facts(service=instance.service, zone=agent.zone, agent=agent.agent_id, labels=instance.labels)


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[Selector, str]:
    selector = Selector.parse(text)
    return selector, str(selector)
