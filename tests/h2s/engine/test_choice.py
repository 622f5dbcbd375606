"""Which engine a process uses, and what it says when the one that was asked for is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

from h2s.engine import Limits, Role, choice
from h2s.errors import EngineUnavailable


def without_native(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the native engine one that does not load."""
    monkeypatch.setitem(sys.modules, "h2s.engine.native", None)


def run(engine: str, code: str) -> str:
    """Run code in a process of its own with the variable set; return what it wrote."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={choice.ENGINE_VARIABLE: engine, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert not done.stderr
    return done.stdout.strip()


def test_the_native_engine_is_the_default_where_it_loads() -> None:
    pytest.importorskip("h2s.engine.native", reason="the native engine is not built")
    assert choice.choose(None)[0] == choice.choose("")[0] == "native"


def test_the_portable_engine_is_the_default_where_the_native_one_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_native(monkeypatch)
    name, factory = choice.choose(None)
    assert name == "portable"
    assert factory(Role.SERVER, Limits()).pull(1000)


def test_a_forced_engine_that_does_not_load_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    without_native(monkeypatch)
    with pytest.raises(EngineUnavailable, match=r"BACKPLANE_H2_ENGINE.*native.*libnghttp2-dev"):
        choice.choose("native")


def test_an_engine_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    with pytest.raises(EngineUnavailable, match=r"'quick'.*native, portable"):
        choice.choose("quick")


def test_the_variable_forces_the_engine_of_the_process() -> None:
    code = (
        "from h2s.engine import *; print(engine_name(), type(create_session(Role.CLIENT, Limits())).__name__)"
    )
    assert run("portable", code) == "portable PortableSession"


def test_the_slow_engine_comes_with_a_hint() -> None:
    hint = run("portable", "from h2s.engine import engine_hint; print(engine_hint())")
    assert choice.HEADERS_HINT in hint


def test_sessions_of_every_engine_are_sessions() -> None:
    for name in choice.ENGINES:
        try:
            factory = choice.load(name)
        except ImportError:
            continue
        session = factory(Role.CLIENT, Limits())
        assert isinstance(session, choice.Session)
        assert (session.role, session.limits) == (Role.CLIENT, Limits())
