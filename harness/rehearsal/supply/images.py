"""Recipes for images: what an image is made from, and how.

Everything in `images/` is a Dockerfile with an `image.toml` beside it; the Debian base and the kind node are
functions. Finding, tagging and the order of builds belong to `rehearsal.supply.supplies`.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.events import Emit
from rehearsal.supply.building import BuildContext
from rehearsal.supply.buildkit import BuildKitClient, DockerfileBuild, build
from rehearsal.supply.hashing import tree_digest
from rehearsal.supply.image_engine import LABEL_KEY, LABEL_SOURCE, LABEL_SUPPLY, ImageEngine

REPOSITORY = "rehearsal"
LEFT_OUT = "left out"  # the source of what is not made in any other way, and not missed
SHORT_TAG_CHARACTERS = 12  # as long as an image id is usually shown
_IMAGE_DISK_BYTES = 3 << 30  # the largest, the node, with its archive


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image in the engine."""

    name: str
    tag: str  # moves with the checkout: rehearsal/redis:7
    pinned: str  # belongs to exactly this content: rehearsal/redis:<key>
    key: str
    id: str


@dataclass(frozen=True, slots=True)
class ImageContext:
    """Everything that an image recipe may use."""

    build: BuildContext
    engine: ImageEngine
    client: Callable[[], BuildKitClient]
    bases: Mapping[str, ImageRef]
    key: str
    tag: str  # the pinned tag that the result must carry
    labels: Mapping[str, str]  # labels that the result must carry
    emit: Emit

    def dockerfile(
        self,
        folder: Path,
        *,
        tag: str,
        arguments: Mapping[str, str],
        target: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> str:
        """Build a folder's Dockerfile, labelled as the supply unless `labels` are given; return the id."""
        wanted = DockerfileBuild(folder, tag, self.labels if labels is None else labels, arguments, target)
        return build(self.build, self.client(), wanted)

    def pulled(self, reference: str) -> str:
        """Pull an image and label it as the supply; return the id. Raises PullFailedError."""
        self.build.step.progress(f"pull {reference}")
        there = self.engine.pull(reference)
        # A tag of our own: the pulled one may move before it is used.
        source = f"{self.tag}-pulled"
        self.engine.tag(there.id, source)
        folder = self.build.scratch / "labelled"
        folder.mkdir()
        (folder / "Dockerfile").write_text(f"FROM {source}\n", encoding="utf-8")
        labels = {**self.labels, LABEL_SOURCE: "pulled"}
        try:
            return self.dockerfile(folder, tag=self.tag, arguments={}, labels=labels)
        finally:
            self.engine.untag(source)

    def stage(self, folder: Path, binaries: Mapping[str, str]) -> Path:
        """Copy a folder to scratch space, with programs of file supplies in its `bin/`; return the copy."""
        staged = self.build.scratch / "context"
        shutil.copytree(folder, staged, symlinks=True)
        for program, supply in binaries.items():
            (staged / "bin").mkdir(exist_ok=True)
            # A link, for it is the same disk and the node's programs are 800 MB.
            os.link(self.build.supply(supply) / "bin" / program, staged / "bin" / program)
        return staged


class ImageRecipe(Protocol):
    """How one image is made."""

    @property
    def name(self) -> str:
        """Name of the image, below the repository `rehearsal`."""

    @property
    def version(self) -> str:
        """What its moving tag says."""

    @property
    def bases(self) -> tuple[str, ...]:
        """Names of the images that it stands on; their keys become part of its own."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the file supplies that go into it; their keys become part of its own."""

    @property
    def disk_bytes(self) -> int:
        """What the build takes on disk at most."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Where it may come from when it is not there, in order: `pulled`, `built`, LEFT_OUT."""

    def inputs(self) -> Mapping[str, object]:
        """Return everything that decides the content; JSON values only, read without network."""

    def make(self, context: ImageContext) -> str:
        """Make the image and return its id; it must carry `context.labels`."""


@dataclass(frozen=True, slots=True)
class FunctionImage:
    """An image that a plain function makes."""

    name: str
    version: str
    read_inputs: Callable[[], Mapping[str, object]]
    make_image: Callable[[ImageContext], str]
    bases: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    disk_bytes: int = _IMAGE_DISK_BYTES
    sources: tuple[str, ...] = ("built",)

    def inputs(self) -> Mapping[str, object]:
        """Return what `read_inputs` says."""
        return self.read_inputs()

    def make(self, context: ImageContext) -> str:
        """Call `make_image`."""
        return self.make_image(context)


class ImageSettings(BaseModel):
    """What an `image.toml` says to the supplies; what it says to others is left to them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    version: str = Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")  # it becomes an image's tag
    bases: dict[str, str] = {}  # build argument to image name
    arguments: dict[str, str] = {}  # build argument to value
    binaries: dict[str, str] = {}  # program to the file supply that has it; staged as bin/<program>
    target: str | None = None


@dataclass(frozen=True, slots=True)
class DockerfileImage:
    """An image of a folder with a Dockerfile and an `image.toml`."""

    folder: Path
    settings: ImageSettings
    sources: tuple[str, ...] = ("built",)
    disk_bytes: int = _IMAGE_DISK_BYTES

    @property
    def name(self) -> str:
        """Name of the image, below the repository `rehearsal`."""
        return self.settings.name

    @property
    def version(self) -> str:
        """What its moving tag says."""
        return self.settings.version

    @property
    def bases(self) -> tuple[str, ...]:
        """Names of the images that it stands on."""
        return tuple(dict.fromkeys(self.settings.bases.values()))

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the file supplies that go into it."""
        return tuple(dict.fromkeys(self.settings.binaries.values()))

    def inputs(self) -> Mapping[str, object]:
        """Return the folder's content; arguments and bases are named in it."""
        return {"folder": tree_digest(self.folder)}

    def make(self, context: ImageContext) -> str:
        """Build the Dockerfile."""
        arguments = {argument: context.bases[name].pinned for argument, name in self.settings.bases.items()}
        return context.dockerfile(
            context.stage(self.folder, self.settings.binaries),
            tag=context.tag,
            arguments={**self.settings.arguments, **arguments},
            target=self.settings.target,
        )


def read_folder(folder: Path) -> DockerfileImage:
    """Return the recipe of an image folder; raises ConfigurationError for an invalid `image.toml`."""
    path = folder / "image.toml"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        return DockerfileImage(folder, ImageSettings.model_validate(raw))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(
            "IMAGE_SETTINGS_INVALID",
            f"{path.parent.name}/{path.name} is not valid: {error}",
            hint="images/README.md describes its keys.",
        ) from error


def read_folders(folder: Path) -> tuple[DockerfileImage, ...]:
    """Return the recipes of all image folders in `folder`, by name."""
    return tuple(read_folder(path.parent) for path in sorted(folder.glob("*/image.toml")))


def moving_tag(name: str, version: str) -> str:
    """Return the tag that people use."""
    return f"{REPOSITORY}/{name}:{version}"


def pinned_tag(name: str, key: str) -> str:
    """Return the tag that belongs to exactly one content."""
    return f"{REPOSITORY}/{name}:{key[:SHORT_TAG_CHARACTERS]}"


def labels_of(name: str, key: str, source: str) -> dict[str, str]:
    """Return the labels of a supply's image."""
    return {LABEL_SUPPLY: name, LABEL_KEY: key, LABEL_SOURCE: source}
