"""How config gets into a data plane: in whole, in parts or as a change, and into force at once or not at all.

    take(part) ─▶ part ─▶ ... ─▶ last part ─▶ `Config` in force, shared by all requests that begin from then on

What comes is compiled as it comes, beside the config in force. A change that starts from another version than the one
in force is not taken (`VersionGap`: ask for a whole snapshot), and one that cannot be served is forgotten
(`ConfigRefused`); either way the config in force stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from h2s.messages import ConfigVersion

from .pools import Pools
from .routes import RoutingTable, TableEdit, TableError
from .snapshot import Snapshot, SnapshotChange

__all__ = ["Config", "ConfigRefused", "Intake", "VersionGap"]


class VersionGap(Exception):
    """A change does not follow on what is here."""


class ConfigRefused(Exception):
    """A config cannot be served. `version` is its own."""

    def __init__(self, version: ConfigVersion, reason: str) -> None:
        super().__init__(reason)
        self.version = version


@dataclass(frozen=True, slots=True)
class Config:
    """What a data plane serves from."""

    snapshot: Snapshot
    """Without routes and policies: those are in the table."""
    table: RoutingTable


class Intake:
    """Makes a data plane's config of what comes in through the port."""

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._pending: tuple[Snapshot, TableEdit] | None = None
        self.config: Config | None = None
        """The config in force, or None before the first."""

    @property
    def is_pending(self) -> bool:
        """Whether parts of a config have come, and not the last."""
        return self._pending is not None

    def take(self, part: Snapshot | SnapshotChange) -> Config | None:
        """Take a part in; return the config that is in force from now on, or None when more has to come first.

        Raises VersionGap or ConfigRefused.
        """
        if isinstance(part, Snapshot):
            snapshot, edit = _without_routes(part), TableEdit(RoutingTable(), self._pools)
        else:
            snapshot, edit = self._base_of(part)
            snapshot = _changed(snapshot, part)
        _feed(edit, part)
        self._pending = snapshot, edit
        if not part.complete:
            return None
        self._pending = None
        try:
            self.config = Config(snapshot, edit.finish())
        except TableError as error:
            raise ConfigRefused(part.version, str(error)) from error
        return self.config

    def _base_of(self, change: SnapshotChange) -> tuple[Snapshot, TableEdit]:
        """Return what a change is to be made to, and give up on parts that it does not follow on."""
        pending, self._pending = self._pending, None
        if pending is not None and change.base == change.version == pending[0].version:
            return pending
        config = self.config
        if config is None or change.base != config.snapshot.version or change.base == change.version:
            here = "nothing" if config is None else f"version {config.snapshot.version.n}"
            raise VersionGap(f"a change from version {change.base.n} came to {here}")
        return config.snapshot, TableEdit(config.table, self._pools)


def _feed(edit: TableEdit, part: Snapshot | SnapshotChange) -> None:
    if isinstance(part, SnapshotChange):
        for name in part.routes_removed:
            edit.remove_route(name)
        for name in part.policies_removed:
            edit.remove_policy(name)
    for policy in part.policies:
        edit.set_policy(policy)
    for route in part.routes:
        edit.set_route(route)
    if part.default_policies is not None:
        edit.default_policies = part.default_policies


def _without_routes(snapshot: Snapshot) -> Snapshot:
    return snapshot.model_copy(update={"routes": (), "policies": (), "complete": True})


def _changed(snapshot: Snapshot, change: SnapshotChange) -> Snapshot:
    """Return the snapshot with what a change says beyond routes and policies."""
    update: dict[str, object] = {"version": change.version}
    for name in ("edges", "default_policies", "drained", "closed_tokens"):
        value = getattr(change, name)
        if value is not None:
            update[name] = value
    if change.grants or change.grants_removed:
        gone = {*change.grants_removed, *(grant.token_id for grant in change.grants)}
        update["grants"] = (
            *(grant for grant in snapshot.grants if grant.token_id not in gone),
            *change.grants,
        )
    return snapshot.model_copy(update=update)
