"""The composition root: real adapters, put together for the commands.

The only place where layers meet concrete engines; everything below takes what it needs as arguments.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from rehearsal.core import paths
from rehearsal.core.events import Emit, Level, Notice, fan_out
from rehearsal.core.journal import Journal
from rehearsal.core.paths import Paths
from rehearsal.core.timing import Timing

if TYPE_CHECKING:
    from docker import DockerClient

    from rehearsal.cluster.api import KubernetesApi
    from rehearsal.cluster.facts import ContainerFacts
    from rehearsal.cluster.lifecycle import Clusters
    from rehearsal.cluster.plan import ClusterSpec
    from rehearsal.core.catalogue import Catalogue
    from rehearsal.core.ledger import Ledger
    from rehearsal.deploy.deploying import Deployment
    from rehearsal.deploy.publishing import Publisher
    from rehearsal.deploy.rendering import Renderer
    from rehearsal.deploy.tilt import Tilt
    from rehearsal.supply.supplies import Supplies

OF_CLUSTER = "cluster"  # of an entry in another cluster's ledger: the identity of that cluster
_TOOLS = ("kubectl", "kind", "tilt")
# What the Dockerfiles under services/ stand on; Tilt builds those, but not these.
_BUILD_BASES = ("python", "python-build")


@dataclass
class Workshop:
    """Everything a command works with; parts are made when they are first asked for."""

    paths: Paths
    catalogue: Catalogue
    emit: Emit
    close_console: Callable[[], None]

    @cached_property
    def docker(self) -> DockerClient:
        """A client of the Docker engine, which is brought up first where it may be."""
        from rehearsal.cluster.engine import connect
        from rehearsal.supply.engine import ensure_engine

        engine = ensure_engine(self.paths, emit=self.emit)
        # kind, Tilt and the docker program find the same engine, wherever it was found. One that the user
        # chose is left as chosen: a context says more than its address, such as its certificates.
        if not engine.endpoint.chosen_by_user:
            os.environ["DOCKER_HOST"] = engine.endpoint.host
        return connect()

    @property
    def ledger(self) -> Ledger:
        """The ledger of the cluster: what this machine has changed on it."""
        from rehearsal.core.ledger import Ledger

        if not self.paths.context:
            return Ledger(self.paths.ledger)
        # A context may lead to another cluster by the time that an entry is to be undone.
        return Ledger(self.paths.ledger, lambda: {OF_CLUSTER: self.cluster_identity()})

    def at(self, context: str) -> Workshop:
        """Return a workshop for the cluster of a context; an empty one is the project's own.

        Raises ConfigurationError unless the catalogue describes another one.
        """
        if context in ("", self.catalogue.cluster.context):
            return self
        self.catalogue.elsewhere(context)
        catalogue = self.catalogue.model_copy(update={"ports": self.catalogue.ports_at(context)})
        return replace(self.left_at(context), catalogue=catalogue)

    def left_at(self, context: str) -> Workshop:
        """Return a workshop for what was left on another cluster, whether the catalogue describes it or not.

        Undoing takes no port of it.
        """
        return replace(self, paths=replace(self.paths, context=context))

    def copy_kubeconfig(self) -> None:
        """Take the context of another cluster, and no other: nothing else of the user's can be hit.

        Whoever calls holds the lock of runs: a living one goes by the copy that is there. Raises
        ConfigurationError unless the catalogue describes the cluster, and kubectl knows it.
        """
        from rehearsal.cluster import kubeconfig

        if context := self.paths.context:
            place = self.catalogue.elsewhere(context)
            kubectl = self.supplies.tool("kubectl")
            kubeconfig.copy(kubectl, place.kubeconfig, context, self.paths.kubeconfig)

    def left_elsewhere(self) -> list[str]:
        """Return the contexts of other clusters than this one on which a run has left something."""
        from rehearsal.core.ledger import Ledger

        folders = (self.paths.state / paths.CONTEXTS).glob("*")
        known = {"", *(unquote(one.name) for one in folders)} - {self.paths.context}
        left = [one for one in sorted(known) if not Ledger(replace(self.paths, context=one).ledger).is_empty]
        return [one or self.catalogue.cluster.context for one in left]

    def forget_cluster(self) -> None:
        """Take the cluster of a killed run out of the ledger: it is the user's from now on, or gone."""
        from rehearsal.stages.preparing import CLUSTER_ENTRY

        for entry in self.ledger.entries():
            if entry.kind == CLUSTER_ENTRY:
                self.ledger.strike(entry)

    @cached_property
    def supplies(self) -> Supplies:
        """Tools and images."""
        from rehearsal.supply.supplies import make_supplies

        return make_supplies(self.paths, self.catalogue, emit=self.emit, docker=lambda: self.docker)

    def cluster_spec(self, profile: str | None, timing: Timing | None, *, node_image: str) -> ClusterSpec:
        """Return what the cluster should look like: as it was made, or else planned from what is free."""
        from rehearsal.cluster import record
        from rehearsal.cluster.plan import Ranges, choose_ranges, plan_cluster

        made = record.load(self.paths.state)
        ranges: Ranges = made.spec.ranges if made else choose_ranges(self.catalogue, self._taken_ranges())
        return plan_cluster(
            self.catalogue,
            profile=profile or (made.spec.profile if made else self.catalogue.cluster.default_profile),
            timing=timing or (made.spec.timing if made and profile in (None, made.spec.profile) else None),
            ranges=ranges,
            node_image=node_image,
        )

    def clusters(self, *, registry_image: str = "", kind_program: Path = Path("kind")) -> Clusters:
        """Return what makes and mends the cluster."""
        from rehearsal.cluster.api import KubernetesApi
        from rehearsal.cluster.engine import DockerNodeEngine
        from rehearsal.cluster.kind import KindProgram
        from rehearsal.cluster.lifecycle import Clusters
        from rehearsal.cluster.registry import DockerRegistry

        return Clusters(
            paths=self.paths,
            versions=self.catalogue.versions,
            engine=DockerNodeEngine(self.docker),
            kind=KindProgram(kind_program, self.paths.logs / "kind.log"),
            registry=DockerRegistry(self.docker, registry_image),
            connect_api=KubernetesApi,
            emit=self.emit,
        )

    def api(self) -> KubernetesApi:
        """Return a client of the cluster's API."""
        from rehearsal.cluster.api import KubernetesApi

        return KubernetesApi(self.paths.kubeconfig, self.context)

    def tool_folders(self) -> list[Path]:
        """Return the folders of this project's programs, `rehearsal` included."""
        found = [Path(sys.executable).parent, *(self.supplies.tool(name).parent for name in _TOOLS)]
        return list(dict.fromkeys(found))

    def tilt(self) -> Tilt:
        """Return Tilt, in the environment that it needs and with the images that its builds stand on."""
        from rehearsal.deploy import provenance
        from rehearsal.deploy.environment import tilt_environment
        from rehearsal.deploy.tilt import Tilt
        from rehearsal.stages.artefacts import Secrets

        for name in _BUILD_BASES:
            self.supplies.image(name)
        provenance.forget(self.paths.cluster)
        self.prepare()
        environment = tilt_environment(self.paths, self.catalogue, tools=self.tool_folders(), base=os.environ)
        secrets = Secrets(self.paths.state)
        return Tilt(self.supplies.tool("tilt"), self.paths.root, environment, secrets)

    def renderer(self) -> Renderer:
        """Return what renders the manifests of this checkout."""
        from rehearsal.deploy.rendering import Renderer
        from rehearsal.supply.images import pinned_tag

        return Renderer(
            root=self.paths.root,
            catalogue=self.catalogue,
            kubectl=self.supplies.tool("kubectl"),
            pinned_tag=lambda name: pinned_tag(name, self.supplies.image_key(name)),
            has_optional=self.supplies.has_optional,
            registry=self._registry,
        )

    def publisher(self) -> Publisher:
        """Return what builds and pushes the images of a release, with the images that they stand on."""
        from rehearsal.deploy.publishing import Publisher
        from rehearsal.supply.buildkit import find_client

        for name in _BUILD_BASES:
            self.supplies.image(name)
        return Publisher(
            root=self.paths.root,
            client=find_client(os.environ["PATH"]),
            supply_tag=lambda name: self.supplies.image(name).pinned,
            logs=self.paths.logs,
            emit=self.emit,
        )

    def prepare(self) -> None:
        """Put into the cluster what Tilt does not: the supplies' images, the namespaces, the Secrets."""
        from rehearsal.cluster.engine import DockerNodeEngine
        from rehearsal.deploy.localising import OPTIONAL, SUPPLIED
        from rehearsal.deploy.preparing import Preparation
        from rehearsal.deploy.pushing import EngineRegistry

        for name in SUPPLIED.values():
            self.supplies.image(name)
        for name in OPTIONAL.values():
            self.supplies.image_if_to_be_had(name)
        only = None
        if not self.paths.context:  # nobody knows where another cluster's volumes may be
            nodes = DockerNodeEngine(self.docker).nodes(self.catalogue.cluster.name)
            only = nodes[0].name if len(nodes) == 1 else None
        registry = EngineRegistry(self.docker, self._registry)
        shared = bool(self.paths.context)
        preparation = Preparation(self.api(), registry, self.paths.state, self.emit, only, shared)
        preparation.run(self.renderer(), self.profile)

    @property
    def _registry(self) -> str:
        if self.paths.context:
            return self.catalogue.elsewhere(self.paths.context).registry
        return f"localhost:{self.catalogue.ports.registry}"

    @property
    def context(self) -> str:
        """The name of the cluster's context, in its kubeconfig."""
        return self.paths.context or self.catalogue.cluster.context

    @property
    def profile(self) -> str:
        """The profile that the cluster was made with, else the default one."""
        from rehearsal.cluster import record

        found = record.setting(self.paths, self.catalogue)
        return found.profile if found else self.catalogue.cluster.default_profile

    @property
    def timing(self) -> Timing:
        """The pace of the cluster's controllers."""
        from rehearsal.cluster import record

        found = record.setting(self.paths, self.catalogue)
        return found.timing if found else self.catalogue.profile(self.profile).timing

    def deployment(self, artefacts: Path) -> Deployment:
        """Return what deploys everything once; its log and snapshot go to `artefacts`."""
        from rehearsal.deploy import provenance
        from rehearsal.deploy.deploying import Deployment
        from rehearsal.deploy.rollouts import read_templates

        # Of the tree as it is now: what somebody edits meanwhile may be in no image.
        tree = provenance.tree_hash(self.paths.root)
        api = self.api()

        def passed() -> None:
            provenance.remember(
                self.paths.cluster, tree=tree, cluster=self.cluster_identity(), templates=read_templates(api)
            )

        return Deployment(self.tilt(), api, artefacts, self.emit, passed=passed)

    def require_deployed(self) -> None:
        """Raise EnvironmentNotReadyError unless what runs on the cluster was deployed from this tree."""
        from rehearsal.deploy import provenance
        from rehearsal.deploy.rollouts import read_templates

        provenance.require(
            self.paths.cluster,
            tree=provenance.tree_hash(self.paths.root),
            cluster=self.cluster_identity(),
            templates=lambda: read_templates(self.api()),
        )

    def cluster_identity(self) -> str:
        """Return what tells the cluster from every other one; empty when there is none.

        Of the project's own it is the id of the control plane's container. Raises EnvironmentNotReadyError
        when another one does not say it: that is never empty.
        """
        from rehearsal.cluster.engine import DockerNodeEngine
        from rehearsal.cluster.identity import identity_of

        if self.paths.context:
            return identity_of(self.api(), self.context)
        return _control_plane(DockerNodeEngine(self.docker).nodes(self.catalogue.cluster.name))

    def seen_cluster_identity(self) -> str | None:
        """Return the cluster's identity without starting an engine: empty for no cluster, None if unknown."""
        from docker.errors import DockerException

        from rehearsal.cluster import record
        from rehearsal.cluster.engine import DockerNodeEngine
        from rehearsal.supply.engine import Engine, EngineHome, connect, find_engine

        found = find_engine(EngineHome.of(self.paths))
        if not isinstance(found, Engine):
            # Where no cluster was made, or it was taken down, there is no record either.
            return None if (self.paths.state / record.FILE_NAME).exists() else ""
        try:
            nodes = DockerNodeEngine(connect(found.endpoint)).nodes(self.catalogue.cluster.name)
        except DockerException:
            return None
        return _control_plane(nodes)

    @cached_property
    def passive_supplies(self) -> Supplies:
        """The supplies as they are, for looking: no engine is started for them."""
        from rehearsal.supply.engine import Engine, EngineHome, connect, find_engine
        from rehearsal.supply.supplies import make_supplies

        found = find_engine(EngineHome.of(self.paths))
        docker = (lambda: connect(found.endpoint)) if isinstance(found, Engine) else None
        return make_supplies(self.paths, self.catalogue, emit=self.emit, docker=docker)

    def _taken_ranges(self) -> list[IPv4Network]:
        from rehearsal.cluster.engine import DockerNodeEngine
        from rehearsal.cluster.host import host_ranges

        own = f"{self.catalogue.cluster.name}-rehearsal"
        networks = DockerNodeEngine(self.docker).networks()
        foreign = [one.subnet for one in networks if one.subnet and one.name != own]
        leftover = {one.subnet for one in networks if one.name == own}
        return [*foreign, *(one for one in host_ranges() if one not in leftover)]


def _control_plane(nodes: Iterable[ContainerFacts]) -> str:
    return next((one.id for one in nodes if one.name.endswith("control-plane")), "")


@contextmanager
def workshop(command: str, *, announce: bool = True) -> Iterator[Workshop]:
    """Open the workshop for one command: catalogue, folders, console and a journal.

    With `announce` the first line says where the journal is, before anything is imported that takes long.
    """
    from rehearsal.cli.console import make_console

    root = paths.find_root(Path.cwd())
    folders = paths.for_checkout(root)
    console = make_console()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    try:
        with Journal(folders.logs / "commands" / f"{stamp}-{command}.ndjson") as journal:
            if announce:
                console(Notice(Level.INFO, f"journal of this command: {journal.path}"))
            from rehearsal.core import catalogue

            yield Workshop(folders, catalogue.load(root), fan_out(journal, console), console.close)
    finally:
        console.close()
