"""Kubeconfig files: ours is written whole, the user's keeps all that is not ours."""

from __future__ import annotations

import copy
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.cluster import kubeconfig
from rehearsal.cluster.kubeconfig import UnreadableKubeconfigError, belongs, merged, usable, without
from rehearsal.core.errors import ConfigurationError

from tests.cluster.fakes import context_of, pem
from tests.cluster.ground import USERS_OWN
from tests.tools import kubectl

CONTEXT = "kind-mambogo"
OURS = context_of(CONTEXT, "authority-1")
ENTRY = "clusters", "users", "contexts"
names = st.sampled_from(["office", "home", "kind-other", "kind-mambogo2"])
values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
entries = st.lists(
    st.fixed_dictionaries({"name": names, "cluster": st.dictionaries(st.text(), values)}), max_size=3
)
contents = st.fixed_dictionaries(
    {},
    optional={
        "apiVersion": st.just("v1"),
        "kind": st.just("Config"),
        "clusters": entries | st.none(),
        "users": entries,
        "contexts": entries,
        "current-context": names,
        "preferences": st.dictionaries(st.text(), values),
        "extensions": st.lists(values, max_size=2),
    },
)


def _others(content: dict[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig's meaning without our entries: what is absent means the same as what is empty."""
    rest = {key: value for key, value in without(content, CONTEXT).items() if value}
    return {"apiVersion": "v1", "kind": "Config", **rest}


@given(contents, st.booleans())
def test_everything_that_is_not_ours_is_kept(
    tmp_path_factory: pytest.TempPathFactory, theirs: dict[str, Any], use: bool
) -> None:
    file = tmp_path_factory.mktemp("home") / "config"
    before = copy.deepcopy(theirs)

    kubeconfig.write(file, merged(theirs, OURS, CONTEXT, use=use))
    after = kubeconfig.read(file)
    current = after.pop("current-context", None)

    assert theirs == before
    assert _others(after) == _others({key: one for key, one in theirs.items() if key != "current-context"})
    assert current == (CONTEXT if use else theirs.get("current-context"))


@given(contents)
def test_merging_twice_is_merging_once(theirs: dict[str, Any]) -> None:
    once = merged(theirs, OURS, CONTEXT, use=False)

    assert merged(once, OURS, CONTEXT, use=False) == once


@given(contents)
def test_merged_context_can_be_taken_out_again(theirs: dict[str, Any]) -> None:
    assert _others(merged(theirs, OURS, CONTEXT, use=False)) == _others(theirs)


def test_entry_is_replaced_where_it_stands() -> None:
    theirs = merged(USERS_OWN, OURS, CONTEXT, use=False)
    for section in ENTRY:
        theirs[section].reverse()

    again = merged(theirs, context_of(CONTEXT, "authority-2"), CONTEXT, use=False)

    assert [one["name"] for one in again["clusters"]] == [CONTEXT, "office"]
    assert again["clusters"][0]["cluster"]["certificate-authority-data"] == pem("authority-2")


def test_current_context_that_was_ours_is_cleared_with_it() -> None:
    assert without(merged(USERS_OWN, OURS, CONTEXT, use=True), CONTEXT)["current-context"] == ""


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param({}, True, id="empty-file"),
        pytest.param(USERS_OWN, True, id="no-such-context"),
        pytest.param(OURS, True, id="same-cluster"),
        pytest.param(
            merged({}, context_of(CONTEXT, "authority-0"), CONTEXT, use=False), True, id="an-older-of-ours"
        ),
        pytest.param(context_of(CONTEXT, "authority-9"), False, id="another-cluster"),
        pytest.param(
            {"clusters": [{"name": CONTEXT, "cluster": {"server": "https://x"}}]}, False, id="no-authority"
        ),
    ],
)
def test_whose_a_context_is(theirs: dict[str, Any], ours: bool) -> None:
    assert belongs(theirs, OURS, CONTEXT) is ours


def test_context_of_unknown_origin_is_not_ours_when_our_own_file_is_gone() -> None:
    assert not belongs({"clusters": [{"name": CONTEXT, "cluster": {"server": "https://x"}}]}, {}, CONTEXT)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"clusters: [", id="cut-off"),
        pytest.param(b"clusters:\n-", id="cut-off-inside-a-list"),
        pytest.param(b"clusters:\n- name", id="cut-off-inside-a-name"),
        pytest.param(b"clusters:\n  name: x\n", id="mapping-for-a-list"),
        pytest.param(b"- 1\n", id="list"),
        pytest.param(b"just text", id="text"),
        pytest.param(b"\xff\xfe\x00", id="bytes"),
    ],
)
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "config"
    file.write_bytes(content)

    with pytest.raises(UnreadableKubeconfigError):
        kubeconfig.read(file)
    assert not usable(file, CONTEXT)


@pytest.mark.parametrize("content", [None, "", "# nothing\n"])
def test_absent_and_empty_files_are_empty(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "config").write_text(content, encoding="utf-8")

    assert kubeconfig.read(tmp_path / "config") == {}


@pytest.mark.parametrize("section", ENTRY)
def test_context_without_one_of_its_parts_is_not_usable(tmp_path: Path, section: str) -> None:
    kubeconfig.write(tmp_path / "config", {**OURS, section: []})

    assert not usable(tmp_path / "config", CONTEXT)


def test_whole_context_is_usable(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "config", OURS)

    assert usable(tmp_path / "config", CONTEXT)


def test_file_that_was_cut_off_anywhere_is_not_usable(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "whole", OURS)
    whole = (tmp_path / "whole").read_text(encoding="utf-8")
    cut = tmp_path / "cut"

    for length in range(len(whole[: whole.index("current-context:")].rstrip())):
        cut.write_text(whole[:length], encoding="utf-8")
        assert not usable(cut, CONTEXT), whole[:length]


def test_kind_s_file_that_was_cut_off_in_its_last_key_is_not_usable(tmp_path: Path) -> None:
    # In kind's own order users come last: what is cut is still YAML.
    order = ("apiVersion", "clusters", "contexts", "current-context", "kind", "users")
    text = yaml.safe_dump({name: OURS[name] for name in order}, sort_keys=False)
    file = tmp_path / "config"
    file.write_text(text, encoding="utf-8")
    assert usable(file, CONTEXT)

    last_group = text.index(pem("key")) + len(pem("key")) - 4
    for length in range(text.index("users:"), last_group):
        file.write_text(text[:length], encoding="utf-8")
        assert not usable(file, CONTEXT), text[:length]


def test_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "config", OURS)

    assert (tmp_path / "config").stat().st_mode & 0o777 == 0o600


def test_link_to_a_kubeconfig_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "config").symlink_to(tmp_path / "dotfiles" / "config")

    kubeconfig.write(tmp_path / "config", OURS)

    assert (tmp_path / "config").is_symlink()
    assert kubeconfig.read(tmp_path / "dotfiles" / "config") == OURS


def test_failed_write_leaves_the_old_content(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "config", OURS)

    with pytest.raises(Exception, match="cannot represent"):
        kubeconfig.write(tmp_path / "config", {"clusters": object()})

    assert kubeconfig.read(tmp_path / "config") == OURS


@pytest.mark.parametrize(
    ("variable", "file"),
    [
        ("", "/home/somebody/.kube/config"),
        ("/a/config", "/a/config"),
        (":/a/config:/b/config", "/a/config"),
    ],
)
def test_user_s_file_is_the_one_that_kubectl_writes_to(
    monkeypatch: pytest.MonkeyPatch, variable: str, file: str
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("KUBECONFIG", variable)

    assert kubeconfig.users_file() == Path(file)


def test_clearing_removes_the_lock_of_a_killed_kind(tmp_path: Path) -> None:
    for name in ("config", "config.lock", "other.lock"):
        (tmp_path / name).touch()

    kubeconfig.clear(tmp_path / "config")

    assert [one.name for one in tmp_path.iterdir()] == ["other.lock"]


def test_copy_has_the_one_context_with_its_certificates_within(tmp_path: Path) -> None:
    (tmp_path / "authority.crt").write_text("an authority", encoding="utf-8")
    office, home = context_of("office", "authority-1"), context_of("home", "authority-2")
    source = {section: [*office[section], *home[section]] for section in ENTRY}
    del source["clusters"][0]["cluster"]["certificate-authority-data"]
    source["clusters"][0]["cluster"]["certificate-authority"] = "authority.crt"
    kubeconfig.write(tmp_path / "theirs", {"apiVersion": "v1", "kind": "Config", **source})
    before = (tmp_path / "theirs").read_bytes()

    kubeconfig.copy(kubectl(), tmp_path / "theirs", "office", tmp_path / "contexts" / "office" / "copy")

    copied = kubeconfig.read(tmp_path / "contexts" / "office" / "copy")
    (cluster,) = copied["clusters"]
    assert copied["current-context"] == "office"
    assert [one["name"] for one in copied["contexts"]] == ["office"]
    assert b64decode(cluster["cluster"]["certificate-authority-data"]) == b"an authority"
    assert (tmp_path / "theirs").read_bytes() == before


def test_copy_of_what_kubectl_reads_when_no_file_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubeconfig.write(tmp_path / "theirs", {"apiVersion": "v1", "kind": "Config", **OURS})
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'none'}:{tmp_path / 'theirs'}")

    kubeconfig.copy(kubectl(), None, CONTEXT, tmp_path / "copy")

    assert kubeconfig.read(tmp_path / "copy")["current-context"] == CONTEXT


def test_what_kubectl_warns_of_is_no_part_of_the_copy(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "theirs", {"apiVersion": "v1", "kind": "Config", **OURS})
    noisy = tmp_path / "kubectl"
    noisy.write_text(
        f'#!/bin/sh\necho "W1127 {{x}}: no such file" >&2\n{kubectl()} "$@"\necho "W1127 late: {{" >&2\n'
    )
    noisy.chmod(0o755)

    kubeconfig.copy(noisy, tmp_path / "theirs", CONTEXT, tmp_path / "copy")

    assert kubeconfig.read(tmp_path / "copy")["current-context"] == CONTEXT


def test_context_that_is_not_there_is_said_with_where_it_was_looked_for(tmp_path: Path) -> None:
    kubeconfig.write(tmp_path / "theirs", {"apiVersion": "v1", "kind": "Config", **OURS})

    with pytest.raises(ConfigurationError, match="theirs has no context 'production'") as caught:
        kubeconfig.copy(kubectl(), tmp_path / "theirs", "production", tmp_path / "copy")

    assert caught.value.code == "CONTEXT_UNKNOWN"
    assert not (tmp_path / "copy").exists()
