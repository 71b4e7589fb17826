"""Archives of images, as an engine saves them for another."""

from __future__ import annotations

import itertools
import json
import tarfile
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError

if TYPE_CHECKING:
    from docker import DockerClient

_COPY_CHUNK_BYTES = 1 << 20
_SAVE_SILENCE_SECONDS = 300  # the engine puts the archive together before it sends the first byte


def save(client: DockerClient, images: Mapping[str, str], target: Path) -> tuple[str, ...]:
    """Write images of the engine as one archive, under the names that the node will know them by.

    `images` has the engine's tag of each by that name. Returns the digests of all layers, each once. Raises
    EnvironmentNotReadyError for an image that cannot be preloaded.
    """
    added: list[str] = []
    try:
        for name, tag in images.items():
            image = client.images.get(tag)
            if name not in image.tags:
                repository, _, short = name.rpartition(":")
                image.tag(repository, short)
                added.append(name)
        # docker-py saves one image at a time; saved together they share their layers.
        with client.api.get(
            f"{client.api.base_url}/images/get",
            params={"names": list(images)},
            stream=True,
            timeout=_SAVE_SILENCE_SECONDS,
        ) as saved:
            saved.raise_for_status()
            with target.open("wb") as file:
                for chunk in saved.iter_content(_COPY_CHUNK_BYTES):
                    file.write(chunk)
    finally:
        for name in added:
            client.images.remove(name, noprune=True)
    return saved_layers(target)


def saved_layers(archive: Path) -> tuple[str, ...]:
    """Return the digests under which containerd will have the layers of an archive of images, each once.

    Raises EnvironmentNotReadyError when one deletes what a layer below it has: laid aside, a layer is only
    its own files, and the engine that keeps the node image would take the mark for a deletion of its own.
    """
    layers: dict[str, _Layer] = {}
    with tarfile.open(archive) as saved:
        for image in json.load(_member(saved, "manifest.json")):
            diff_ids = json.load(_member(saved, image["Config"]))["rootfs"]["diff_ids"]
            below: set[str] = set()
            for path, diff_id in zip(image["Layers"], diff_ids, strict=True):
                # An engine on containerd's store saves its layers as they are there, packed.
                is_blob = path.startswith("blobs/sha256/")
                digest = f"sha256:{path.rpartition('/')[2]}" if is_blob else diff_id
                if digest not in layers:
                    layers[digest] = _read_layer(_member(saved, path))
                if deleted := layers[digest].deletes(below):
                    name = image["RepoTags"][0]
                    raise EnvironmentNotReadyError(
                        "IMAGE_DELETES",
                        f"{name} cannot be preloaded: a layer deletes /{deleted} of one below it",
                        hint="Leave it out of the layer that brings it, or let the last stage only copy.",
                    )
                below |= layers[digest].files
    return tuple(layers)


@dataclass(frozen=True, slots=True)
class _Layer:
    files: frozenset[str]
    whiteouts: tuple[str, ...]  # what is deleted, if it is there
    opaque: tuple[str, ...]  # folders of which nothing below is seen

    def deletes(self, below: Set[str]) -> str:
        """Return what it deletes of `below`; empty when nothing."""
        hidden = (one for folder in self.opaque for one in below if one.startswith(f"{folder}/"))
        return next(itertools.chain(self.whiteouts, hidden), "")


def _read_layer(file: IO[bytes]) -> _Layer:
    files, whiteouts, opaque = set(), [], []
    with tarfile.open(fileobj=file) as layer:
        for one in layer:
            path = one.name.removeprefix("./")
            folder, _, name = path.rpartition("/")
            if name == ".wh..wh..opq":
                opaque.append(folder)
            elif name.startswith(".wh."):
                whiteouts.append(f"{folder}/{name.removeprefix('.wh.')}".lstrip("/"))
            else:
                files.add(path)
    return _Layer(frozenset(files), tuple(whiteouts), tuple(opaque))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise HarnessError(
            "ARCHIVE_UNREADABLE",
            f"{name} of an archive of images is no file",
            hint="`docker version` says which engine saved it; report it with that.",
        )
    return file
