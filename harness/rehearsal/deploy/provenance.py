"""From which tree what runs on the cluster was deployed.

Written down after each whole deployment that passed, with what the pods were to be. A run that goes on with
what is there asks for it: the results of another tree's images would be taken for this one's. What somebody
has changed on the cluster since, by whatever way, is seen in what the pods are to be now.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run

FILE_NAME = "deployed.json"
# What becomes images, manifests and settings, or makes them; documents and the rest of the harness do not.
_SOURCES = (
    "services",
    "k8s",
    "images",
    "kind/addons",
    "tilt",
    "Tiltfile",
    "rehearsal.toml",
    "harness/rehearsal/deploy",
)
_MOST_NAMED = 3
_GIT_SECONDS = 30.0


def tree_hash(root: Path) -> str:
    """Return a hash of everything in the working tree that is deployed, whether committed or not.

    Outside of git nobody knows which files belong to the tree: an empty string, which is never accepted.
    """
    argv = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--"]
    try:
        listed = run([*argv, *_SOURCES], timeout_seconds=_GIT_SECONDS).output
    except ProcessFailedError:
        return ""
    digest = hashlib.sha256()
    for name in sorted(filter(None, listed.split("\0"))):
        path = root / name
        # A file that is deleted and not yet committed is listed, and is no part of the tree.
        if path.is_file():
            digest.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def remember(state: Path, *, tree: str, cluster: str, templates: Mapping[str, str]) -> None:
    """Write down that this tree was deployed on this cluster; `templates` has a hash for each workload."""
    part = state / f"{FILE_NAME}.{os.getpid()}.part"
    known = {"tree": tree, "cluster": cluster, "templates": dict(templates)}
    part.write_text(json.dumps(known), encoding="utf-8")
    part.replace(state / FILE_NAME)


def forget(state: Path) -> None:
    """Forget what was deployed: something else is about to be."""
    (state / FILE_NAME).unlink(missing_ok=True)


def difference(state: Path, *, tree: str, cluster: str, templates: Mapping[str, str]) -> str:
    """Return what else than this tree runs on this cluster; empty when it is exactly this tree."""
    try:
        found = json.loads((state / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if found.get("cluster") != cluster:
        return "nobody knows which tree"
    if not tree or found.get("tree") != tree:
        return "another tree"
    before = found.get("templates", {})
    changed = sorted(name for name in {*before, *templates} if before.get(name) != templates.get(name))
    if not changed:
        return ""
    more = f" and {len(changed) - _MOST_NAMED} more" if len(changed) > _MOST_NAMED else ""
    return f"no tree any more: changed since it was deployed are {', '.join(changed[:_MOST_NAMED])}{more}"


def require(state: Path, *, tree: str, cluster: str, templates: Callable[[], Mapping[str, str]]) -> None:
    """Raise EnvironmentNotReadyError unless exactly this tree was deployed on this cluster.

    An empty `cluster` means that there is none.
    """
    if not cluster:
        raise EnvironmentNotReadyError(
            "CLUSTER_ABSENT",
            "there is no cluster to go on with",
            hint="Deploy this tree on one: `rehearsal up --ci`, or a run that begins with cluster.",
        )
    why = difference(state, tree=tree, cluster=cluster, templates=templates())
    if why:
        raise EnvironmentNotReadyError(
            "TREE_NOT_DEPLOYED",
            f"what runs on the cluster is not of this tree, but of {why}",
            hint="Deploy this one first: `rehearsal up --ci`, or a run that begins with deploy.",
        )
