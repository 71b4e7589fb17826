"""The inventory: which supplies there are, made from the catalogue's pins and the checkout's recipes.

Adding a tool or an image means adding it here, or a folder below `images/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.core.catalogue import Catalogue, Versions
from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.supply import debian, golang, grafana, tilt
from rehearsal.supply.golang import GoRecipe, Target, Toolchain
from rehearsal.supply.hashing import tree_digest
from rehearsal.supply.image_archive import save
from rehearsal.supply.image_engine import docker_client
from rehearsal.supply.images import FunctionImage, ImageContext, ImageRecipe, read_folders
from rehearsal.supply.node_image import export_root, preload, preloaded_images, write_archive
from rehearsal.supply.recipes import FileRecipe, ToolLocation

_YARN_VERSION = "4.9.3"  # package.json of Tilt's interface: packageManager
_KUBERNETES_DISK_BYTES = 6 << 30  # modules, compiled packages and programs on a machine that has none
_COREDNS_DISK_BYTES = 3 << 30
_PROMETHEUS_DISK_BYTES = 3 << 30
_OBSERVING_DISK_BYTES = 3 << 30
_STACK_NODE_DISK_BYTES = 4 << 30  # the layers thrice: archive, store, image
_NODE = "node"
STACK_NODE = "stack-node"
# What the stack runs besides the services, and what those stand on.
STACK_IMAGES = (
    "alertmanager",
    "collector",
    "config-server",
    "eureka",
    "exporters",
    "kafka",
    "keycloak",
    "nginx",
    "postgres",
    "prometheus-server",
    "python",
    "redis",
    "victoria-logs-server",
    "zipkin",
)
_KUBERNETES_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubeadm",
    "kubectl",
    "kubelet",
)
_NODE_PROGRAMS = (
    *_KUBERNETES_PROGRAMS,
    "crictl",
    "etcd",
    "kube-state-metrics",
    "local-path-provisioner",
    "metrics-server",
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """All supplies by name."""

    files: Mapping[str, FileRecipe]
    tools: Mapping[str, ToolLocation]
    images: Mapping[str, ImageRecipe]
    instead: Mapping[str, str] = field(default_factory=dict)
    """Images that only save time, and what does as well where they cannot be made."""


def make_inventory(root: Path, catalogue: Catalogue) -> Inventory:
    """Return the inventory of a checkout."""
    toolchain_folder, versions = root / "kind" / "toolchain", catalogue.versions
    search_path = os.environ.get("PATH", "")
    go = Toolchain(golang.on_path(search_path))
    node = tilt.Node(tilt.node_on_path(search_path))
    files: list[FileRecipe] = [
        *([] if go.present else [golang.toolchain_recipe(toolchain_folder / "go.txt")]),
        *([] if node.present else [tilt.node_recipe(toolchain_folder / "nodejs.txt")]),
        kubernetes_recipe(toolchain_folder / "kubernetes", versions, go),
        coredns_recipe(toolchain_folder / "coredns", versions, go),
        prometheus_recipe(toolchain_folder / "prometheus", versions, go),
        collector_recipe(toolchain_folder / "otelcol", versions, go),
        victoria_logs_recipe(toolchain_folder / "victoria-logs", versions, go),
        tilt.TiltPagesRecipe(versions.tilt, toolchain_folder / "tilt", go, node, _YARN_VERSION),
        tilt.TiltRecipe(versions.tilt, toolchain_folder / "tilt", go),
    ]
    node_folder = root / "kind" / "node-image"
    node_image = node_image_recipe(node_folder, versions)
    images: list[ImageRecipe] = [
        debian.recipe(versions.debian, catalogue.images.debian),
        node_image,
        grafana.recipe(catalogue.images.grafana),
        *read_folders(root / "images"),
        stack_node_image_recipe(
            node_folder,
            node_image.version,
            catalogue.ports.registry,
            STACK_IMAGES,
        ),
    ]
    return Inventory(
        files={recipe.name: recipe for recipe in files},
        tools={tool.name: tool for tool in tools(versions)},
        images={recipe.name: recipe for recipe in images},
        instead={STACK_NODE: _NODE},
    )


def tools(versions: Versions) -> tuple[ToolLocation, ...]:
    """Return the programs that the harness runs itself."""
    return (
        ToolLocation("kind", "kubernetes", "bin/kind", versions.kind),
        ToolLocation("kubectl", "kubernetes", "bin/kubectl", versions.kubernetes),
        ToolLocation("tilt", "tilt", "bin/tilt", versions.tilt),
    )


def kubernetes_recipe(module: Path, versions: Versions, toolchain: Toolchain) -> GoRecipe:
    """Return the recipe of Kubernetes, etcd, kind and what the cluster carries besides."""
    main = {
        **{f"k8s.io/kubernetes/cmd/{name}": name for name in _KUBERNETES_PROGRAMS},
        "sigs.k8s.io/cri-tools/cmd/crictl": "crictl",
        "sigs.k8s.io/kind": "kind",
        "k8s.io/kube-state-metrics/v2": "kube-state-metrics",
        "go.etcd.io/etcd/server/v3": "etcd",
    }
    stamps = {
        **kubernetes_stamps(f"v{versions.kubernetes}"),
        "sigs.k8s.io/cri-tools/pkg/version.Version": versions.cri_tools,
        "github.com/prometheus/common/version.Version": f"v{versions.kube_state_metrics}",
    }
    return GoRecipe(
        name="kubernetes",
        version=versions.kubernetes,
        module=module,
        targets=(
            Target(main, stamps),
            # It says Kubernetes' version variable as its own, so it is linked apart.
            Target(
                {"sigs.k8s.io/metrics-server/cmd/metrics-server": "metrics-server"},
                kubernetes_stamps(f"v{versions.metrics_server}"),
            ),
            # It imports logrus under an old spelling, which collides with the others' in one call.
            Target({"github.com/rancher/local-path-provisioner": "local-path-provisioner"}, {}),
        ),
        toolchain=toolchain,
        disk_bytes=_KUBERNETES_DISK_BYTES,
    )


def kubernetes_stamps(version: str) -> dict[str, str]:
    """Return the linker's variables by which programs of Kubernetes know their version.

    Programs without them say v0.0.0, and kubeadm then looks the newest one up on the internet.
    """
    major, minor = version.removeprefix("v").split(".")[:2]
    return {
        "k8s.io/component-base/version.gitVersion": version,
        "k8s.io/component-base/version.gitMajor": major,
        "k8s.io/component-base/version.gitMinor": minor,
        "k8s.io/component-base/version.gitCommit": "",
        "k8s.io/client-go/pkg/version.gitVersion": version,
    }


def coredns_recipe(module: Path, versions: Versions, toolchain: Toolchain) -> GoRecipe:
    """Return the recipe of CoreDNS, which does not compile against Kubernetes' own client version."""
    return GoRecipe(
        name="coredns",
        version=versions.coredns,
        module=module,
        targets=(Target({"rehearsal.local/coredns": "coredns"}, {}),),
        toolchain=toolchain,
        disk_bytes=_COREDNS_DISK_BYTES,
    )


def prometheus_recipe(module: Path, versions: Versions, toolchain: Toolchain) -> GoRecipe:
    """Return the recipe of Prometheus with the discovery of Kubernetes alone.

    Debian's package has every discovery but that one; the others' libraries are most of a whole build.
    """
    stamps = {"github.com/prometheus/common/version.Version": versions.prometheus}
    target = Target(
        {"github.com/prometheus/prometheus/cmd/prometheus": "prometheus"},
        stamps,
        ("remove_all_sd", "enable_kubernetes_sd"),
    )
    return GoRecipe(
        name="prometheus",
        version=versions.prometheus,
        module=module,
        targets=(target,),
        toolchain=toolchain,
        disk_bytes=_PROMETHEUS_DISK_BYTES,
    )


def collector_recipe(module: Path, versions: Versions, toolchain: Toolchain) -> GoRecipe:
    """Return the recipe of the OpenTelemetry collector, whose program lies in the wrapper module itself."""
    return GoRecipe(
        name="otelcol",
        version=versions.otelcol,
        module=module,
        targets=(Target({"rehearsal.local/otelcol": "otelcol"}, {"main.version": versions.otelcol}),),
        toolchain=toolchain,
        disk_bytes=_OBSERVING_DISK_BYTES,
    )


def victoria_logs_recipe(module: Path, versions: Versions, toolchain: Toolchain) -> GoRecipe:
    """Return the recipe of VictoriaLogs."""
    package = "github.com/VictoriaMetrics/VictoriaMetrics"
    stamps = {f"{package}/lib/buildinfo.Version": f"victoria-logs-v{versions.victoria_logs}"}
    return GoRecipe(
        name="victoria-logs",
        version=versions.victoria_logs,
        module=module,
        targets=(Target({f"{package}/app/victoria-logs": "victoria-logs"}, stamps),),
        toolchain=toolchain,
        disk_bytes=_OBSERVING_DISK_BYTES,
    )


def node_image_recipe(folder: Path, versions: Versions) -> FunctionImage:
    """Return the recipe of the kind node, with everything that it has from birth."""
    preloaded = preloaded_images(versions)

    def make(context: ImageContext) -> str:
        binaries = {**dict.fromkeys(_NODE_PROGRAMS, "kubernetes"), "coredns": "coredns"}
        staged = context.stage(folder, binaries)
        arguments = {"DEBIAN_IMAGE": context.bases[debian.NAME].pinned}
        system, node = f"{context.tag}-system", f"{context.tag}-node"
        client = docker_client(context.engine)
        try:
            context.dockerfile(staged, tag=system, arguments=arguments, target="system")
            context.dockerfile(staged, tag=node, arguments=arguments, target="node")
            context.build.step.progress("preload the images of the control plane")
            layer, archive = context.build.scratch / "system.tar", context.build.scratch / "images.tar"
            export_root(client, system, layer)
            digest = write_archive(layer, preloaded, archive)
            script = folder / "preload.sh"
            return preload(
                client, node, archive, [digest], script=script, tag=context.tag, labels=context.labels
            )
        finally:
            context.engine.untag(system)
            context.engine.untag(node)

    return FunctionImage(
        name=_NODE,
        version=f"v{versions.kubernetes}",
        read_inputs=lambda: {
            # Without what is only read by people: the two node images take a minute.
            "folder": {path: of for path, of in tree_digest(folder).items() if path != "README.md"},
            "preloaded": [[one.reference, *one.entrypoint, *one.command] for one in preloaded],
        },
        make_image=make,
        bases=(debian.NAME,),
        needs=("kubernetes", "coredns"),
    )


def stack_node_image_recipe(
    folder: Path, version: str, registry_port: int, images: Sequence[str]
) -> FunctionImage:
    """Return the recipe of a kind node that also has `images`, under the names by which pods ask for them.

    A cluster of such nodes pulls and unpacks only what Tilt builds.
    """

    def make(context: ImageContext) -> str:
        client = docker_client(context.engine)
        context.build.step.progress(f"preload {len(images)} images of the stack")
        archive = context.build.scratch / "images.tar"
        bases = [context.bases[name].pinned for name in images]
        try:
            layers = save(client, {f"localhost:{registry_port}/{tag}": tag for tag in bases}, archive)
            return preload(
                client,
                context.bases[_NODE].pinned,
                archive,
                layers,
                script=folder / "preload.sh",
                tag=context.tag,
                labels=context.labels,
            )
        except OSError as error:  # of the disk, and all that the engine's client raises
            raise EnvironmentNotReadyError(
                "STACK_NODE",
                f"the stack's images could not be put into a node image: {error}",
                hint="Is the disk full? `rehearsal supply prune` removes what is not used.",
            ) from error

    return FunctionImage(
        name=STACK_NODE,
        version=version,
        read_inputs=lambda: {"registry_port": registry_port},
        make_image=make,
        bases=(_NODE, *images),
        disk_bytes=_STACK_NODE_DISK_BYTES,
    )
