"""Folders: by the XDG base directory rules, and the checkout around them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from rehearsal.core.errors import ConfigurationError
from rehearsal.core.paths import CATALOGUE_FILE, Paths, find_root, for_checkout

ROOT = Path("/checkout")


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


def test_defaults_are_below_home() -> None:
    paths = for_checkout(ROOT)

    assert paths.cache == Path("/home/somebody/.cache/mambogo-rehearsal")
    assert paths.state == Path("/home/somebody/.local/state/mambogo-rehearsal")


def test_variables_name_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    monkeypatch.setenv("XDG_STATE_HOME", "/var/state")

    paths = for_checkout(ROOT)

    assert paths.cache == Path("/big/cache/mambogo-rehearsal")
    assert paths.state == Path("/var/state/mambogo-rehearsal")


@pytest.mark.parametrize("value", ["", "cache", "./cache"])
def test_empty_and_relative_variables_are_ignored(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", value)

    assert for_checkout(ROOT).cache == Path("/home/somebody/.cache/mambogo-rehearsal")


def test_state_is_shared_by_all_checkouts() -> None:
    assert for_checkout(ROOT).kubeconfig == for_checkout(Path("/other")).kubeconfig


def test_root_is_found_from_a_folder_below_it(tmp_path: Path) -> None:
    (tmp_path / CATALOGUE_FILE).touch()
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)

    assert find_root(below) == tmp_path


def test_folder_outside_a_checkout_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="or above it") as caught:
        find_root(tmp_path)

    assert caught.value.code == "CATALOGUE_MISSING"


@pytest.mark.parametrize("context", ["staging", "arn:aws:eks:eu-west-1:1/shop", "../../escape", "a%2Fb"])
def test_what_is_known_of_another_cluster_is_apart_from_all_others(context: str) -> None:
    own = Paths(ROOT, Path("/cache"), Path("/state"))
    other = replace(own, context=context)

    assert own.cluster == Path("/state")
    assert other.cluster.parent == Path("/state/contexts")
    assert unquote(other.cluster.name) == context
    assert {other.kubeconfig.parent, other.ledger.parent} == {other.cluster}
    assert (other.logs, other.locks) == (own.logs, own.locks)
