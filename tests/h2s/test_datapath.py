"""What a process says about its data path."""

from __future__ import annotations

import sys

import pytest

from h2s import datapath, window


def test_what_is_installed_as_editable_is_interpreted_and_says_how_to_get_the_fast_one() -> None:
    assert datapath.data_path() == "interpreted"
    assert "gcc" in str(datapath.data_path_hint())


def test_what_comes_out_of_an_extension_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "__file__", f"/somewhere/window.{sys.implementation.cache_tag}.so")
    assert datapath.data_path() == "compiled"
    assert datapath.data_path_hint() is None
