"""Whether equal inputs give equal images: builds them twice without the build cache and compares the layers.

    python bench/rebuild.py [NAME...]      # all of images/ by default; CPU for some minutes

Each of the two generations is built in order, on its own predecessors, so that what a base changes shows
above it; both stand on the same Debian base. Where layers differ, the files in them that differ are named.
Ends with 1 if anything differs but archives of loaded classes (`*.jsa`, see images/README.md). The new images
are removed again.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath

import docker
from docker import DockerClient
from docker.errors import ImageNotFound
from rehearsal.supply.buildkit import DockerfileBuild, arguments_of, environment_of, find_client
from rehearsal.supply.debian import NAME as DEBIAN
from rehearsal.supply.images import DockerfileImage, moving_tag, read_folders

_IMAGES = Path(__file__).resolve().parent.parent / "images"
_BASE = moving_tag(DEBIAN, "bookworm")
_GENERATIONS = ("rebuild-1", "rebuild-2")
# Only built, for others to stand on; what runs gets files of theirs, and none of their layers.
_STAGES = frozenset({"jdk", "python-build"})
_ARCHIVE = ".jsa"  # made by a run of the server, whose threads load classes in no fixed order
_SHOWN_FILES = 8  # a layer that differs at all mostly differs in one place


def main(names: Sequence[str]) -> int:
    """Print a row per image; return the exit code."""
    recipes = in_order(names)
    client = docker.from_env(timeout=600)
    differs = False
    print("| image | layers above Debian | equal | files that differ |\n|---|---|---|---|")
    try:
        for recipe in recipes:
            layers = [build(client, recipe, generation) for generation in _GENERATIONS]
            if recipe.name in _STAGES:
                continue
            below = len(client.images.get(_BASE).attrs["RootFS"]["Layers"])
            equal = [one == other for one, other in zip(*layers, strict=True)]
            files = {} if all(equal) else differences(client, recipe.name, equal)
            differs = differs or not all(is_archive(path, files) for path in files)
            row = (recipe.name, str(len(equal) - below), str(sum(equal[below:])), summary(files))
            print("| " + " | ".join(row) + " |", flush=True)
    finally:
        for recipe in reversed(recipes):
            for generation in _GENERATIONS:
                with suppress(ImageNotFound):
                    client.images.remove(moving_tag(recipe.name, generation))
    return int(differs)


def in_order(names: Sequence[str]) -> list[DockerfileImage]:
    """Return the recipes of the named images, each after what it stands on."""
    recipes = {recipe.name: recipe for recipe in read_folders(_IMAGES)}
    ordered: dict[str, DockerfileImage] = {}

    def add(name: str) -> None:
        if name not in recipes or name in ordered:
            return
        for base in recipes[name].bases:
            add(base)
        ordered[name] = recipes[name]

    for name in names or recipes:
        add(name)
    return list(ordered.values())


def build(client: DockerClient, recipe: DockerfileImage, generation: str) -> list[str]:
    """Build one image of a generation anew; return the digests of its layers."""
    tag = moving_tag(recipe.name, generation)
    bases = {
        argument: _BASE if name == DEBIAN else moving_tag(name, generation)
        for argument, name in recipe.settings.bases.items()
    }
    arguments = {**recipe.settings.arguments, **bases}
    program = find_client(os.environ["PATH"])
    with tempfile.TemporaryDirectory() as scratch:
        wanted = DockerfileBuild(recipe.folder, tag, {}, arguments, recipe.settings.target)
        words = arguments_of(program, wanted, Path(scratch) / "image-id")
        done = subprocess.run(
            [str(program.program), *words[:-1], "--no-cache", words[-1]],
            cwd=recipe.folder,
            env=environment_of(),
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        sys.exit(f"building {recipe.name} failed:\n{done.stderr[-3000:]}")
    return list(client.images.get(tag).attrs["RootFS"]["Layers"])


def differences(client: DockerClient, name: str, equal: Sequence[bool]) -> dict[str, str]:
    """Return the paths that differ between the generations, of the layers that do, and in what."""
    first, second = (dict(entries(client, moving_tag(name, one), equal)) for one in _GENERATIONS)
    paths = sorted(path for path in first.keys() | second.keys() if first.get(path) != second.get(path))
    return {path: what_differs(first.get(path), second.get(path)) for path in paths}


def is_archive(path: str, files: Mapping[str, str]) -> bool:
    """Say whether a difference is that of an archive of loaded classes, or its folder's time."""
    holds_one = any(
        PurePosixPath(other).parent == PurePosixPath(path) for other in files if other.endswith(_ARCHIVE)
    )
    return path.endswith(_ARCHIVE) or (holds_one and files[path] == "time")


def summary(files: Mapping[str, str]) -> str:
    """Return the first of them in words."""
    shown = [f"`{path}` ({what})" for path, what in list(files.items())[:_SHOWN_FILES]]
    return ", ".join(
        [*shown, *([f"and {len(files) - _SHOWN_FILES} more"] if len(files) > _SHOWN_FILES else [])]
    )


def what_differs(one: dict[str, object] | None, other: dict[str, object] | None) -> str:
    """Say which attributes of an entry differ."""
    if one is None or other is None:
        return "in one only"
    return ", ".join(key for key in one if one[key] != other[key])


def entries(client: DockerClient, tag: str, equal: Sequence[bool]) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield what lies in the layers of an image that are not equal: path and attributes."""
    with tempfile.TemporaryFile() as file:
        for chunk in client.images.get(tag).save():
            file.write(chunk)
        file.seek(0)
        with tarfile.open(fileobj=file) as saved:
            manifest = json.load(saved.extractfile("manifest.json") or sys.exit("no manifest"))
            for path, same in zip(manifest[0]["Layers"], equal, strict=True):
                if not same:
                    with tarfile.open(fileobj=saved.extractfile(path)) as layer:
                        yield from ((member.name, attributes(layer, member)) for member in layer)


def attributes(layer: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, object]:
    """Return everything about an entry that a layer's digest covers."""
    content = layer.extractfile(member) if member.isreg() else None
    return {
        "type": member.type,
        "mode": member.mode,
        "owner": (member.uid, member.gid),
        "time": member.mtime,
        "link": member.linkname,
        "content": hashlib.file_digest(content, "sha256").hexdigest() if content else "",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
