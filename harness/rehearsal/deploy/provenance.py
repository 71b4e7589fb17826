"""From which tree what runs on the cluster was deployed.

Written down after each whole deployment that passed. A run that goes on with what is there asks for it: the
results of another tree's images would be taken for this one's.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run

FILE_NAME = "deployed.json"
# What becomes images, manifests and settings; the harness and the documents do not run on the cluster.
_SOURCES = ("services", "k8s", "images", "tilt", "Tiltfile", "rehearsal.toml")
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


def remember(state: Path, *, tree: str, cluster: str) -> None:
    """Write down that this tree was deployed on this cluster."""
    part = state / f"{FILE_NAME}.{os.getpid()}.part"
    part.write_text(json.dumps({"tree": tree, "cluster": cluster}), encoding="utf-8")
    part.replace(state / FILE_NAME)


def forget(state: Path) -> None:
    """Forget what was deployed: something else is about to be."""
    (state / FILE_NAME).unlink(missing_ok=True)


def difference(state: Path, *, tree: str, cluster: str) -> str:
    """Return what else than this tree runs on this cluster; empty when it is exactly this tree."""
    try:
        found = json.loads((state / FILE_NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = {}
    if tree and found == {"tree": tree, "cluster": cluster}:
        return ""
    return "another tree" if found.get("cluster") == cluster else "nobody knows which tree"


def require(state: Path, *, tree: str, cluster: str) -> None:
    """Raise EnvironmentNotReadyError unless exactly this tree was deployed on this cluster.

    An empty `cluster` means that there is none.
    """
    if not cluster:
        raise EnvironmentNotReadyError(
            "CLUSTER_ABSENT",
            "there is no cluster to go on with",
            hint="Deploy this tree on one: `rehearsal up --ci`, or a run that begins with cluster.",
        )
    why = difference(state, tree=tree, cluster=cluster)
    if why:
        raise EnvironmentNotReadyError(
            "TREE_NOT_DEPLOYED",
            f"what runs on the cluster is of {why}, not of this one",
            hint="Deploy this one first: `rehearsal up --ci`, or a run that begins with deploy.",
        )
