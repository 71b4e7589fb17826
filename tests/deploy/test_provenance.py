"""From which tree the cluster was deployed: every change of what is deployed is noticed."""

from __future__ import annotations

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
    "name", ["services/order/main.py", "services/order/new.py", "k8s/base/new.yaml", "Tiltfile"]
)
def test_change_of_what_is_deployed_is_another_tree(root: Path, name: str) -> None:
    before = tree_hash(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("two\n", encoding="utf-8")

    assert tree_hash(root) != before


@pytest.mark.parametrize("name", ["docs/page.md", "services/order/main.pyc"])
def test_change_of_anything_else_is_not(root: Path, name: str) -> None:
    before = tree_hash(root)
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


def test_tree_that_was_deployed_here_is_accepted(state: Path) -> None:
    provenance.remember(state, tree="t", cluster="c")

    provenance.require(state, tree="t", cluster="c")


@pytest.mark.parametrize(("tree", "cluster"), [("other", "c"), ("t", "other")])
def test_another_tree_or_another_cluster_is_refused(state: Path, tree: str, cluster: str) -> None:
    provenance.remember(state, tree="t", cluster="c")

    with pytest.raises(EnvironmentNotReadyError, match="not of this one"):
        provenance.require(state, tree=tree, cluster=cluster)


def test_absent_cluster_is_called_absent(state: Path) -> None:
    provenance.remember(state, tree="t", cluster="c")

    with pytest.raises(EnvironmentNotReadyError, match="there is no cluster") as caught:
        provenance.require(state, tree="t", cluster="")
    assert caught.value.code == "CLUSTER_ABSENT"


def test_tree_outside_of_git_is_never_accepted(tmp_path: Path, state: Path) -> None:
    provenance.remember(state, tree=tree_hash(tmp_path), cluster="c")

    with pytest.raises(EnvironmentNotReadyError):
        provenance.require(state, tree=tree_hash(tmp_path), cluster="c")


def test_deployment_that_is_under_way_is_refused(state: Path) -> None:
    provenance.remember(state, tree="t", cluster="c")
    provenance.forget(state)

    with pytest.raises(EnvironmentNotReadyError):
        provenance.require(state, tree="t", cluster="c")
