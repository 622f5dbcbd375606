from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.intake import Config, ConfigRefused, Intake, VersionGap
from edge.pools import Pools
from edge.registry import Registry
from edge.route import RouteSpec
from edge.snapshot import JoinGrant, Snapshot, SnapshotChange, parts
from h2s.messages import ConfigVersion, EdgeAddress


def version(n: int) -> ConfigVersion:
    return ConfigVersion(fleet="f", epoch=1, n=n)


def make_route(name: str, host: str, **more: Any) -> RouteSpec:
    return RouteSpec.model_validate(
        {"name": name, "host": host, "targets": [{"selector": "service=web"}], **more}
    )


def make_snapshot(n: int, *routes: RouteSpec, **more: Any) -> Snapshot:
    return Snapshot(version=version(n), edge_id="e", routes=routes, **more)


def make_change(base: int, n: int, **more: Any) -> SnapshotChange:
    return SnapshotChange(base=version(base), version=version(n), **more)


def take(intake: Intake, whole: Snapshot | SnapshotChange, size: int = 2) -> Config:
    """Take all parts of something in; only the last comes into force."""
    *first, last = parts(whole, size)
    for part in first:
        assert intake.take(part) is None
        assert intake.is_pending
    config = intake.take(last)
    assert config is not None
    assert config is intake.config
    assert not intake.is_pending
    return config


def hosts(config: Config) -> dict[str, str]:
    return {route.name: route.host for route in config.table.routes}


def start(*routes: RouteSpec, **more: Any) -> Intake:
    intake = Intake(Pools(Registry()))
    take(intake, make_snapshot(1, *routes, **more))
    return intake


NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f"])


@settings(deadline=None)
@given(
    st.sets(NAMES),
    st.lists(st.tuples(st.dictionaries(NAMES, st.sampled_from("xyz")), st.sets(NAMES)), max_size=4),
    st.integers(1, 4),
)
def test_changes_come_to_what_is_said(names: Any, changes: Any, size: int) -> None:
    expected = {name: f"{name}.test" for name in names}
    intake = start(*(make_route(name, host) for name, host in expected.items()))
    for n, (added, removed) in enumerate(changes, start=1):
        new = {name: f"{name}.{suffix}.test" for name, suffix in added.items()}
        for name in removed:
            expected.pop(name, None)
        expected.update(new)
        routes = tuple(make_route(name, host) for name, host in new.items())
        change = make_change(n, n + 1, routes=routes, routes_removed=tuple(removed))
        config = take(intake, change, size)
        assert hosts(config) == expected
        assert config.snapshot.version == version(n + 1)
    assert intake.config is not None
    assert intake.config.snapshot.routes == ()


def test_parts_survive_their_journey_as_json() -> None:
    whole = make_snapshot(1, *(make_route(f"r{n}", f"h{n}.test") for n in range(5)))
    first, *rest = parts(whole, 2)
    again = [
        Snapshot.model_validate_json(first.model_dump_json()),
        *(SnapshotChange.model_validate_json(part.model_dump_json()) for part in rest),
    ]
    assert [first, *rest] == again
    assert len(again) == 3


@given(st.integers(0, 7), st.integers(0, 7), st.integers(1, 3))
def test_no_part_has_more_than_its_share(added: int, removed: int, size: int) -> None:
    change = make_change(
        1,
        2,
        routes=tuple(make_route(f"r{n}", f"h{n}.test") for n in range(added)),
        routes_removed=tuple(f"gone{n}" for n in range(removed)),
    )
    pieces = [part for part in parts(change, size) if isinstance(part, SnapshotChange)]
    assert all(len(part.routes) + len(part.routes_removed) <= size for part in pieces)
    assert [route for part in pieces for route in part.routes] == list(change.routes)
    assert [name for part in pieces for name in part.routes_removed] == list(change.routes_removed)
    assert [part.complete for part in pieces] == [False] * (len(pieces) - 1) + [True]


def test_nothing_of_a_config_is_in_force_before_its_last_part() -> None:
    intake = start(make_route("old", "old.test"))
    before = intake.config
    whole = make_change(1, 2, routes=tuple(make_route(f"r{n}", f"h{n}.test") for n in range(5)))
    first, second, _ = parts(whole, 2)
    assert intake.take(first) is None
    assert intake.take(second) is None
    assert intake.config is before


def test_a_change_that_does_not_follow_on_is_not_taken() -> None:
    with pytest.raises(VersionGap, match="nothing"):
        Intake(Pools(Registry())).take(make_change(1, 2))
    intake = start()
    for change in (make_change(2, 3), make_change(1, 1), make_change(0, 1)):
        with pytest.raises(VersionGap):
            intake.take(change)
    other = SnapshotChange(base=ConfigVersion(fleet="f", epoch=2, n=1), version=version(2))
    with pytest.raises(VersionGap):
        intake.take(other)
    take(intake, make_change(1, 2))


def test_a_change_in_the_midst_of_another_ends_that() -> None:
    intake = start(make_route("old", "old.test"))
    whole = make_change(1, 2, routes=tuple(make_route(f"r{n}", f"h{n}.test") for n in range(5)))
    first, second, last = parts(whole, 2)
    intake.take(first)
    config = take(intake, make_change(1, 3, routes_removed=("old",)))
    assert hosts(config) == {}
    for part in (second, last):
        with pytest.raises(VersionGap):
            intake.take(part)
    assert intake.config is config


def test_a_whole_snapshot_ends_whatever_was_under_way() -> None:
    intake = start(make_route("old", "old.test"))
    whole = make_snapshot(7, *(make_route(f"r{n}", f"h{n}.test") for n in range(5)))
    intake.take(next(parts(whole, 2)))
    assert hosts(take(intake, whole)) == {f"r{n}": f"h{n}.test" for n in range(5)}


def test_what_cannot_be_served_is_refused_and_the_config_in_force_stays() -> None:
    intake = start(make_route("old", "old.test"))
    with pytest.raises(ConfigRefused, match="identical") as caught:
        intake.take(make_change(1, 2, routes=(make_route("new", "old.test"),)))
    assert caught.value.version == version(2)
    assert intake.config is not None
    assert hosts(intake.config) == {"old": "old.test"}
    take(intake, make_change(1, 3, routes=(make_route("new", "new.test"),)))


def test_tokens_and_edges_change_by_themselves() -> None:
    def grant(token_id: str, **more: Any) -> JoinGrant:
        return JoinGrant(token_id=token_id, secret_sha256="0" * 64, **more)

    edges = (EdgeAddress(edge_id="e", address="a:1"),)
    intake = start(grants=(grant("a"), grant("b"), grant("c")), edges=edges)
    change = make_change(1, 2, grants=(grant("b", publish=False), grant("d")), grants_removed=("c",))
    snapshot = take(intake, change).snapshot
    assert [(one.token_id, one.publish) for one in snapshot.grants] == [
        ("a", True),
        ("b", False),
        ("d", True),
    ]
    assert snapshot.edges == edges
    assert take(intake, make_change(2, 3, edges=())).snapshot.edges == ()
