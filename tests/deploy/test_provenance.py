"""From which tree the cluster was deployed: every change of what is deployed is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import run
from rehearsal.deploy import provenance
from rehearsal.deploy.provenance import tree_hash


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a checkout with a committed service."""
    checkout = tmp_path / "checkout"
    (checkout / "services" / "order").mkdir(parents=True)
    (checkout / "services" / "order" / "main.py").write_text("one\n", encoding="utf-8")
    (checkout / ".gitignore").write_text("*.pyc\n", encoding="utf-8")
    (checkout / "docs").mkdir()
    _git(checkout, "init")
    _git(checkout, "add", ".")
    _git(checkout, "commit", "-m", "first")
    return checkout


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return an empty state folder."""
    folder = tmp_path / "state"
    folder.mkdir()
    return folder


def _git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run(["git", "-C", str(root), *identity, *arguments], timeout_seconds=60)


@pytest.mark.parametrize(
    "name",
    [
        "services/order/main.py",
        "services/order/new.py",
        "k8s/base/new.yaml",
        "kind/addons/new.yaml",
        "harness/rehearsal/deploy/localising.py",
        "Tiltfile",
    ],
)
def test_change_of_what_is_deployed_is_another_tree(root: Path, name: str) -> None:
    before = tree_hash(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("two\n", encoding="utf-8")

    assert tree_hash(root) != before


@pytest.mark.parametrize(
    "name", ["docs/page.md", "harness/rehearsal/report/html.py", "services/order/main.pyc"]
)
def test_change_of_anything_else_is_not(root: Path, name: str) -> None:
    before = tree_hash(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("two\n", encoding="utf-8")

    assert tree_hash(root) == before


def test_deleted_file_is_another_tree(root: Path) -> None:
    before = tree_hash(root)
    (root / "services" / "order" / "main.py").unlink()

    assert tree_hash(root) != before


def test_moved_file_is_another_tree(root: Path) -> None:
    before = tree_hash(root)
    (root / "services" / "order" / "main.py").rename(root / "services" / "order" / "other.py")

    assert tree_hash(root) != before


def test_tree_does_not_depend_on_what_is_committed(root: Path) -> None:
    (root / "services" / "order" / "new.py").write_text("two\n", encoding="utf-8")
    before = tree_hash(root)
    _git(root, "add", ".")
    _git(root, "commit", "-m", "second")

    assert tree_hash(root) == before


PODS = {"deployment shop/order": "1", "deployment shop/cart": "2"}


def _remember(state: Path, tree: str = "t", templates: Mapping[str, str] = PODS) -> None:
    provenance.remember(state, tree=tree, cluster="c", templates=templates)


def _require(state: Path, tree: str = "t", cluster: str = "c", templates: Mapping[str, str] = PODS) -> None:
    provenance.require(state, tree=tree, cluster=cluster, templates=lambda: templates)


def test_tree_that_was_deployed_here_is_accepted(state: Path) -> None:
    _remember(state)

    _require(state)


@pytest.mark.parametrize(("tree", "cluster"), [("other", "c"), ("t", "other")])
def test_another_tree_or_another_cluster_is_refused(state: Path, tree: str, cluster: str) -> None:
    _remember(state)

    with pytest.raises(EnvironmentNotReadyError, match="not of this tree"):
        _require(state, tree, cluster)


@pytest.mark.parametrize(
    "now",
    [
        {**PODS, "deployment shop/order": "3"},
        {"deployment shop/cart": "2"},
        {**PODS, "deployment shop/order2": "1"},
    ],
)
def test_what_was_changed_on_the_cluster_since_is_named(state: Path, now: Mapping[str, str]) -> None:
    _remember(state)

    with pytest.raises(
        EnvironmentNotReadyError, match="changed since it was deployed are deployment shop/order"
    ):
        _require(state, templates=now)


def test_of_many_changes_the_first_are_named(state: Path) -> None:
    _remember(state, templates={})

    with pytest.raises(EnvironmentNotReadyError, match="a, b, c and 2 more"):
        _require(state, templates=dict.fromkeys("abcde", "1"))


def test_absent_cluster_is_called_absent(state: Path) -> None:
    _remember(state)

    with pytest.raises(EnvironmentNotReadyError, match="there is no cluster") as caught:
        _require(state, cluster="")
    assert caught.value.code == "CLUSTER_ABSENT"


def test_tree_outside_of_git_is_never_accepted(tmp_path: Path, state: Path) -> None:
    _remember(state, tree_hash(tmp_path))

    with pytest.raises(EnvironmentNotReadyError):
        _require(state, tree_hash(tmp_path))


def test_deployment_that_is_under_way_is_refused(state: Path) -> None:
    _remember(state)
    provenance.forget(state)

    with pytest.raises(EnvironmentNotReadyError):
        _require(state)
