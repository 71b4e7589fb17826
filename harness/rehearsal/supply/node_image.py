"""The kind node images: a Debian system with kubelet, and images preloaded in it.

`kind/node-image/` is the recipe. This module does what a Dockerfile cannot: it makes one archive of images
and imports it into containerd's store inside a node image. The control plane's images, which share a single
layer, are in every node; the stack's are in a second node image, which stands on the first.
Which binaries go in, and when a rebuild is due, is decided by the supplies' catalogue of recipes.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rehearsal.core.catalogue import Versions
from rehearsal.core.errors import EnvironmentNotReadyError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_COPY_CHUNK_BYTES = 1 << 20
_PRELOAD_SECONDS = 1800
_ARCHIVE = "/rehearsal-archive"
_SCRATCH = "/rehearsal-store"
_PRELOAD = "/rehearsal-preload"


@dataclass(frozen=True, slots=True)
class PreloadedImage:
    """An image that the node has from birth; all of them stand on the same root file system."""

    reference: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...] = ()


def preloaded_images(versions: Versions) -> tuple[PreloadedImage, ...]:
    """Return what kubeadm and the add-ons name, under exactly the names that they use."""
    kubernetes = f"v{versions.kubernetes}"
    control_plane = ("kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-scheduler")
    return (
        *(PreloadedImage(f"registry.k8s.io/{name}:{kubernetes}", (name,)) for name in control_plane),
        PreloadedImage(f"registry.k8s.io/etcd:{versions.etcd}-0", ("etcd",)),
        PreloadedImage(f"registry.k8s.io/coredns/coredns:v{versions.coredns}", ("/usr/local/bin/coredns",)),
        PreloadedImage(f"registry.k8s.io/pause:{versions.pause}", ("/usr/bin/catatonit", "-P")),
        PreloadedImage(
            f"registry.k8s.io/metrics-server/metrics-server:v{versions.metrics_server}",
            ("/usr/local/bin/metrics-server",),
        ),
        PreloadedImage(
            f"registry.k8s.io/kube-state-metrics/kube-state-metrics:v{versions.kube_state_metrics}",
            ("/usr/local/bin/kube-state-metrics",),
        ),
        PreloadedImage(
            f"docker.io/rancher/local-path-provisioner:v{versions.local_path_provisioner}",
            ("/usr/local/bin/local-path-provisioner",),
        ),
    )


def write_archive(layer: Path, images: Sequence[PreloadedImage], target: Path) -> str:
    """Write an image archive in Docker's format in which all images share the one `layer` (a plain tar).

    Returns the layer's digest.
    """
    digest = _sha256(layer)
    manifest: list[dict[str, object]] = []
    with tarfile.open(target, "w") as archive:
        archive.add(layer, f"{digest}.tar", recursive=False)
        for image in images:
            config = _config(image, digest)
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            _add_bytes(archive, name, config)
            manifest.append({"Config": name, "RepoTags": [image.reference], "Layers": [f"{digest}.tar"]})
        _add_bytes(archive, "manifest.json", json.dumps(manifest).encode())
    return f"sha256:{digest}"


def export_root(client: DockerClient, image: str, target: Path) -> None:
    """Write an image's whole root file system as one tar, its layers flattened."""
    container = client.containers.create(image, command=["none"])
    try:
        with target.open("wb") as file:
            for chunk in container.export(chunk_size=_COPY_CHUNK_BYTES):
                file.write(chunk)  # type: ignore[arg-type]  # the stubs say str; the engine sends bytes
    finally:
        container.remove(force=True)


def preload(
    client: DockerClient,
    node_image: str,
    archive: Path,
    layer_digests: Sequence[str],
    *,
    script: Path,
    tag: str,
    labels: Mapping[str, str],
) -> str:
    """Import `archive` into the containerd store of `node_image`, commit that as `tag` and return its id.

    `script` does it, inside of a container of that image. The import unpacks at once: a node then starts what
    it has without decompressing anything.
    """
    config = client.images.get(node_image).attrs["Config"]
    repository, _, short = tag.rpartition(":")
    with _running(client, node_image, {archive: _ARCHIVE, script: _PRELOAD}) as container:
        _execute(container, ["bash", _PRELOAD, _ARCHIVE, _SCRATCH, *layer_digests])
        committed = container.commit(
            repository=repository,
            tag=short,
            conf={
                "Entrypoint": config["Entrypoint"],
                "Cmd": None,
                "Env": config["Env"],
                "StopSignal": config["StopSignal"],
                "Labels": {**(config.get("Labels") or {}), **labels},
            },
        )
    return str(committed.id)


@contextmanager
def _running(client: DockerClient, image: str, files: Mapping[Path, str]) -> Iterator[Container]:
    from docker.errors import APIError  # only where an image is made: the imports cost 0.2 s
    from docker.types import Mount

    container = client.containers.run(
        image,
        # Of a builder that is killed nothing stays for longer than that.
        entrypoint=["sleep", str(_PRELOAD_SECONDS)],
        auto_remove=True,
        detach=True,
        privileged=True,
        network_mode="none",
        # Mounts, not volumes: a commit would declare a volume in the image.
        mounts=[
            Mount(_SCRATCH, None, type="volume"),
            *(Mount(inside, str(path), type="bind", read_only=True) for path, inside in files.items()),
        ],
    )
    try:
        yield container
    finally:
        with suppress(APIError):  # it removes itself once it has ended: whoever comes second is told so
            container.remove(force=True, v=True)


def _execute(container: Container, argv: Sequence[str]) -> None:
    result = container.exec_run(list(argv))
    if result.exit_code != 0:
        said = result.output.decode("utf-8", "replace").strip() if isinstance(result.output, bytes) else ""
        raise EnvironmentNotReadyError(
            "NODE_IMAGE_IMPORT",
            f"the images could not be imported into the node image (code {result.exit_code}):\n{said}",
            hint="Run `rehearsal doctor`: a missing capability or a full disk is the usual cause.",
        )


def _config(image: PreloadedImage, layer_digest: str) -> bytes:
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": {
                "Entrypoint": list(image.entrypoint),
                "Cmd": list(image.command) or None,
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
            },
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        },
        sort_keys=True,
    ).encode()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _add_bytes(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
