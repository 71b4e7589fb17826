"""The peer of `rehearsal cluster up`: `kind create cluster` by itself, on the same node image.

What it makes has no network, no registry, no volumes and no metrics; it is the floor under everything that
is built on kind and kubeadm.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ground.measuring import ROOT, Run, Spent
from rehearsal.cluster.engine import connect

_NAME = "rehearsal-bench-peer"
_PHASE = "`kind create cluster` alone"


def kind_alone(image: str) -> Spent:
    """Make a cluster of one node by nothing but kind, remove it, and return what making it took."""
    run, program = Run(_NAME), _program()
    with tempfile.TemporaryDirectory() as folder, _network():
        kubeconfig = str(Path(folder) / "kubeconfig")
        try:
            with run.phase(_PHASE):
                wait = ("--wait", "0s")
                _kind(program, "create", "cluster", "--image", image, *wait, "--kubeconfig", kubeconfig)
        finally:
            _kind(program, "delete", "cluster", "--kubeconfig", kubeconfig)
    return run.phases[_PHASE]


def _kind(program: str, *arguments: str) -> None:
    subprocess.run(
        [program, *arguments, "--name", _NAME],
        check=True,
        capture_output=True,
        env={**os.environ, "KIND_EXPERIMENTAL_DOCKER_NETWORK": _NAME},
    )


def _program() -> str:
    listing = [sys.executable, "-m", "rehearsal", "supply", "list", "--json"]
    found = json.loads(subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    return next(str(one["where"]) for one in found if one["name"] == "kind")


@contextmanager
def _network() -> Iterator[None]:
    """A network of its own, for kind would leave one behind."""
    with closing(connect()) as docker:
        network = docker.networks.create(_NAME, driver="bridge", check_duplicate=True)
        try:
            yield
        finally:
            network.remove()
