"""Stand-ins that the supplies' tests share: a container engine in memory, and small recipes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rehearsal.core.events import Event, Notice
from rehearsal.core.paths import Paths
from rehearsal.supply.building import BuildContext
from rehearsal.supply.image_engine import ImageEngine, ImageRecord, PullFailedError
from rehearsal.supply.images import FunctionImage, ImageContext
from rehearsal.supply.inventory import Inventory
from rehearsal.supply.recipes import FileRecipe, FunctionRecipe, ToolLocation
from rehearsal.supply.supplies import Supplies


@dataclass(slots=True)
class FakeImages:
    """A container engine in memory; passes the contract test of `ImageEngine`."""

    images: dict[str, ImageRecord] = field(default_factory=dict)
    registry: dict[str, str] = field(default_factory=dict)  # what can be pulled: reference to content
    in_use: set[str] = field(default_factory=set)

    def find(self, reference: str) -> ImageRecord | None:
        for record in self.images.values():
            if reference in (record.id, *record.tags):
                return record
        return None

    def labelled(self, label: str) -> tuple[ImageRecord, ...]:
        return tuple(record for record in self.images.values() if label in record.labels)

    def tag(self, image_id: str, reference: str) -> None:
        self._untag(reference)
        record = self.images[image_id]
        self.images[image_id] = replace(record, tags=(*record.tags, reference))

    def untag(self, reference: str) -> bool:
        record = self.find(reference)
        if record is None:
            return True
        if record.tags == (reference,):
            if record.id in self.in_use:
                return False
            del self.images[record.id]
        else:
            self._untag(reference)
        return True

    def pull(self, reference: str) -> ImageRecord:
        if reference not in self.registry:
            raise PullFailedError(reference, "there is no such image")
        return self.add(self.registry[reference].encode(), {}, reference)

    def import_archive(self, archive: Path, labels: Mapping[str, str], reference: str) -> ImageRecord:
        return self.add(archive.read_bytes(), labels, reference)

    def add(self, content: bytes, labels: Mapping[str, str], reference: str) -> ImageRecord:
        """Have an image."""
        identity = f"sha256:{hashlib.sha256(content + repr(sorted(labels.items())).encode()).hexdigest()}"
        self._untag(reference)
        known = self.images.get(identity)
        tags = (*(known.tags if known else ()), reference)
        created = "2024-01-01T00:00:00.000000000Z"
        self.images[identity] = ImageRecord(identity, tags, dict(labels), len(content), created)
        return self.images[identity]

    def _untag(self, reference: str) -> None:
        for record in list(self.images.values()):
            if reference in record.tags:
                kept = tuple(tag for tag in record.tags if tag != reference)
                self.images[record.id] = replace(record, tags=kept)


@dataclass(slots=True)
class Recorder:
    """Collects events."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def notices(self) -> list[str]:
        """What was said for the user to see later."""
        return [event.message for event in self.events if isinstance(event, Notice)]


def paths_below(folder: Path) -> Paths:
    """Return folders for a test."""
    return Paths(root=folder / "root", cache=folder / "cache", state=folder / "state")


def text_recipe(
    name: str,
    content: str,
    *,
    needs: tuple[str, ...] = (),
    built_with: tuple[str, ...] = (),
    log: list[str] | None = None,
) -> FileRecipe:
    """Return a recipe that makes one program, which prints `content`, and notes that it ran."""

    def make(context: BuildContext) -> Mapping[str, str]:
        if log is not None:
            log.append(name)
        (context.target / "bin").mkdir()
        program = context.target / "bin" / name
        inner = "".join((context.supply(needed) / "bin" / needed).read_text() for needed in needs)
        program.write_text(f"#!/bin/sh\necho {content}\n{inner}")
        program.chmod(0o755)
        return {}

    return FunctionRecipe(name, "1.0", lambda: {"content": content}, make, needs=needs, built_with=built_with)


def image_recipe(
    name: str,
    content: str,
    *,
    bases: tuple[str, ...] = (),
    needs: tuple[str, ...] = (),
    log: list[str] | None = None,
) -> FunctionImage:
    """Return a recipe that imports a file as an image."""

    def make(context: ImageContext) -> str:
        if log is not None:
            log.append(name)
        archive = context.build.scratch / "archive"
        archive.write_text(content)
        return context.engine.import_archive(archive, context.labels, context.tag).id

    return FunctionImage(
        name, "1", lambda: {"content": content}, make, bases=bases, needs=needs, disk_bytes=0
    )


def make_supplies(
    folder: Path,
    *,
    files: tuple[FileRecipe, ...] = (),
    images: tuple[FunctionImage, ...] = (),
    tools: tuple[ToolLocation, ...] = (),
    engine: ImageEngine | None = None,
    emit: Callable[[Event], None] = lambda event: None,
    search_path: str = "",
) -> Supplies:
    """Return supplies of stand-in recipes, in folders of their own."""
    inventory = Inventory(
        files={recipe.name: recipe for recipe in files},
        tools={tool.name: tool for tool in tools},
        images={recipe.name: recipe for recipe in images},
    )
    return Supplies(
        paths=paths_below(folder),
        inventory=inventory,
        emit=emit,
        engine=(lambda: engine) if engine is not None else None,
        search_path=search_path,
    )
