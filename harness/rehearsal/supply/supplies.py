"""Supplies: each tool and image from the first source that works, and what there is.

Ties keys, store, recipes and engine together. What a recipe does is its own business; how files are kept is
the store's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rehearsal.core.catalogue import Catalogue
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import Emit, Level, Notice, step
from rehearsal.core.paths import Paths
from rehearsal.supply import buildkit, present
from rehearsal.supply.building import BuildContext
from rehearsal.supply.hashing import key_of
from rehearsal.supply.image_engine import (
    LABEL_KEY,
    LABEL_SOURCE,
    LABEL_SUPPLY,
    DockerImages,
    ImageEngine,
    ImageRecord,
    PullFailedError,
)
from rehearsal.supply.images import (
    LEFT_OUT,
    REPOSITORY,
    ImageContext,
    ImageRef,
    labels_of,
    moving_tag,
    pinned_tag,
)
from rehearsal.supply.inventory import Inventory, make_inventory
from rehearsal.supply.optional import Answers
from rehearsal.supply.status import (
    SupplyStatus,
    cached_status,
    image_status,
    missing_status,
    render_statuses,
)
from rehearsal.supply.store import Store, Wanted, damages

if TYPE_CHECKING:
    from docker import DockerClient


__all__ = ["Supplies", "make_supplies", "render_statuses"]


class Supplies:
    """Tools and images of one checkout.

    `engine` is only called when an image is asked for; None means that there is none to ask, which is enough
    for tools and for `statuses`.
    """

    def __init__(
        self,
        *,
        paths: Paths,
        inventory: Inventory,
        emit: Emit,
        engine: Callable[[], ImageEngine] | None,
        search_path: str,
    ) -> None:
        self.store = Store(paths.cache / "supplies", locks=paths.locks, emit=emit)
        self.inventory = inventory
        self._paths = paths
        self._emit = emit
        self._connect = engine
        self._search_path = search_path
        self._wanted: dict[str, Wanted] = {}
        self._image_keys: dict[str, str] = {}
        self._verified: dict[str, Path] = {}
        self._present: dict[str, Path | None] = {}
        self._engine: ImageEngine | None = None
        self._answers = Answers(paths.state)

    # Tools and files.

    def tool(self, name: str) -> Path:
        """Return a program in its pinned version: built before, else the machine's own, else built now.

        Raises ConfigurationError for an unknown name, and what a build raises.
        """
        location = self.inventory.tools.get(name) or _unknown(name, self.inventory.tools)
        # First what was built: some kubectl on PATH take five seconds to say which version they are.
        entry = self.store.find(self.wanted(location.supply))
        # One program is verified, not the whole supply: its other programs are not being used.
        if entry is not None and not damages(entry, [location.path]):
            return entry.folder / location.path
        if found := self._present_tool(name):
            return found
        return self.files(location.supply) / location.path

    def files(self, name: str) -> Path:
        """Return the folder of a file supply, verified; build it if need be."""
        if name not in self._verified:
            recipe = self.inventory.files.get(name) or _unknown(name, self.inventory.files)
            wanted = self.wanted(name)
            for needed in recipe.needs:
                self.files(needed)
            entry = self.store.ensure(wanted, lambda target, scratch: self._build(name, target, scratch))
            self._verified[name] = entry.folder
        return self._verified[name]

    def wanted(self, name: str) -> Wanted:
        """Return what a file supply should be: its key covers the keys of what it is built from."""
        if name not in self._wanted:
            recipe = self.inventory.files.get(name) or _unknown(name, self.inventory.files)
            needs = {needed: self.wanted(needed).key for needed in recipe.needs}
            inputs = {"recipe": dict(recipe.inputs()), "needs": needs}
            self._wanted[name] = Wanted(name, recipe.version, inputs, disk_bytes=recipe.disk_bytes)
        return self._wanted[name]

    def _present_tool(self, name: str) -> Path | None:
        if name not in self._present:
            self._present[name] = present.find(
                name,
                self.inventory.tools[name].version,
                search_path=self._search_path,
                exclude=self._paths.cache,
            )
        return self._present[name]

    def _build(self, name: str, target: Path, scratch: Path) -> dict[str, str]:
        recipe, log = self.inventory.files[name], self._log(name)
        with step(self._emit, f"supply {name}", f"{recipe.version}, log {log}") as handle:
            return dict(recipe.build(BuildContext(name, target, scratch, log, handle, self.files)))

    def _log(self, name: str) -> Path:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        return self._paths.logs / "supplies" / f"{stamp}-{name}.log"

    # Images.

    def image(self, name: str) -> ImageRef:
        """Return an image in the engine, pulled or built if it is not there.

        Raises ConfigurationError for an unknown name, EnvironmentNotReadyError without an engine, and what a
        build raises.
        """
        if not self._is_optional(name):
            return self._found_image(name) or self._make_image(name)
        key = self.image_key(name)
        try:
            found = self._found_image(name) or self._make_image(name)
        except PullFailedError as error:
            self._answers.keep(name, key, error.reason)
            raise
        self._answers.keep(name, key)
        return found

    def image_if_there(self, name: str) -> ImageRef | None:
        """Return an image in the engine, or None; makes nothing."""
        return self._found_image(name)

    def image_or_instead(self, name: str) -> ImageRef:
        """Return an image that only saves time, or where it cannot be made what does as well, and say so."""
        instead = self.inventory.instead[name]
        try:
            return self.image(name)
        except EnvironmentNotReadyError as error:
            said = f"{name} could not be made, {instead} does as well and takes longer: {error.message}"
            self._emit(Notice(Level.WARNING, said))
            return self.image(instead)

    def image_if_to_be_had(self, name: str) -> ImageRef | None:
        """Return an image that is only pulled, or None where it cannot be; a refusal is asked for once.

        Raises what `image` raises for anything else.
        """
        refusal = self._answers.refusal(name, self.image_key(name))
        if not refusal:
            try:
                return self.image(name)
            except PullFailedError as error:
                refusal = error.reason
        again = f"`rehearsal supply build {name}` asks again"
        self._emit(Notice(Level.INFO, f"{name} is left out, it could not be pulled: {refusal}; {again}"))
        return None

    def has_optional(self, name: str) -> bool:
        """Return whether an image that is only pulled was there when it was last asked for; asks nobody."""
        return self._answers.refusal(name, self.image_key(name)) == ""

    def _is_optional(self, name: str) -> bool:
        recipe = self.inventory.images.get(name) or _unknown(name, self.inventory.images)
        return LEFT_OUT in recipe.sources

    def image_key(self, name: str) -> str:
        """Return the key of an image: over its recipe, its bases and the files that go into it."""
        if name not in self._image_keys:
            recipe = self.inventory.images.get(name) or _unknown(name, self.inventory.images)
            self._image_keys[name] = key_of(
                {
                    "name": name,
                    "recipe": dict(recipe.inputs()),
                    "bases": {base: self.image_key(base) for base in recipe.bases},
                    "needs": {needed: self.wanted(needed).key for needed in recipe.needs},
                }
            )
        return self._image_keys[name]

    @property
    def engine(self) -> ImageEngine:
        """The container engine; raises EnvironmentNotReadyError when there is none to ask."""
        if self._engine is None:
            if self._connect is None:
                raise EnvironmentNotReadyError(
                    "ENGINE_MISSING",
                    "images need a container engine, and none is in reach",
                    hint="Run `rehearsal doctor`.",
                )
            self._engine = self._connect()
        return self._engine

    def _found_image(self, name: str) -> ImageRef | None:
        record = self._image_record(name)
        if record is None:
            return None
        recipe, key = self.inventory.images[name], self.image_key(name)
        tag = moving_tag(name, recipe.version)
        if tag not in record.tags:
            self.engine.tag(record.id, tag)
        return ImageRef(name, tag, pinned_tag(name, key), key, record.id)

    def _image_record(self, name: str) -> ImageRecord | None:
        """Return the image of the present key.

        The tag finds it and the label proves it; the label alone is not enough, for an image inherits its
        base's labels.
        """
        key = self.image_key(name)
        record = self.engine.find(pinned_tag(name, key))
        if record is None or record.labels.get(LABEL_KEY) != key or record.labels.get(LABEL_SUPPLY) != name:
            return None
        return record

    def _make_image(self, name: str) -> ImageRef:
        recipe, key, log = self.inventory.images[name], self.image_key(name), self._log(f"image-{name}")
        bases = {base: self.image(base) for base in recipe.bases}
        for needed in recipe.needs:
            self.files(needed)
        with self.store.workspace(f"image-{name}", recipe.disk_bytes) as scratch:
            if found := self._found_image(name):
                return found
            with step(self._emit, f"image {name}", f"{recipe.version}, log {log}") as handle:
                try:
                    recipe.make(
                        ImageContext(
                            build=BuildContext(name, scratch, scratch, log, handle, self.files),
                            engine=self.engine,
                            client=lambda: buildkit.find_client(self._search_path),
                            bases=bases,
                            key=key,
                            tag=pinned_tag(name, key),
                            labels=labels_of(name, key, "built"),
                            emit=self._emit,
                        )
                    )
                except PullFailedError:
                    if self._is_optional(name):
                        handle.left_out()
                    raise
        return self._found_image(name) or _unlabelled(name)

    # Everything.

    def build(self, names: Sequence[str] = ()) -> list[SupplyStatus]:
        """Make some supplies, or all that the checkout uses; return what they are."""
        chosen = names or [*self.inventory.tools, *self.inventory.images]
        for name in chosen:
            if name in self.inventory.tools:
                self.tool(name)
            elif not names and self._is_optional(name):
                self.image_if_to_be_had(name)
            elif not names and name in self.inventory.instead:
                self.image_or_instead(name)
            elif name in self.inventory.images:
                self.image(name)
            else:
                self.files(name)
        return [status for status in self.statuses() if status.name in chosen]

    def statuses(self) -> list[SupplyStatus]:
        """Return what each supply is, or would come from; builds nothing and uses no network."""
        return [*self._tool_statuses(), *self._file_statuses(), *self._image_statuses()]

    def _tool_statuses(self) -> Iterable[SupplyStatus]:
        for location in self.inventory.tools.values():
            entry = self.store.find(self.wanted(location.supply))
            if entry is not None:
                yield cached_status(location.name, "tool", location.version, entry, location.path)
            elif found := self._present_tool(location.name):
                yield SupplyStatus(
                    location.name, "tool", location.version, "present", True, str(found), found.stat().st_size
                )
            else:
                yield missing_status(location.name, "tool", location.version, ("built",))

    def _file_statuses(self) -> Iterable[SupplyStatus]:
        demanded = self._demanded()
        for name, recipe in self.inventory.files.items():
            entry = self.store.find(self.wanted(name))
            if entry is not None:
                yield cached_status(name, "files", recipe.version, entry)
            else:
                yield missing_status(name, "files", recipe.version, ("built",), needed=name in demanded)

    def _demanded(self) -> set[str]:
        """Return the file supplies that have to be made, for tools and images that are not there."""
        tools = self.inventory.tools.values()
        lacking = [one for one in tools if self.store.find(self.wanted(one.supply)) is None]
        asked = [one.supply for one in lacking if not self._present_tool(one.name)]
        for name, image in self.inventory.images.items():
            if self._connect is None or self._image_record(name) is None:
                asked += image.needs
        demanded: set[str] = set()
        while asked:
            name = asked.pop()
            if name not in demanded and self.store.find(self.wanted(name)) is None:
                demanded.add(name)
                asked += [*self.inventory.files[name].needs, *self.inventory.files[name].built_with]
        return demanded

    def _image_statuses(self) -> Iterable[SupplyStatus]:
        for name, recipe in self.inventory.images.items():
            record = self._image_record(name) if self._connect else None
            if record is not None:
                source, tag = record.labels.get(LABEL_SOURCE, "built"), pinned_tag(name, self.image_key(name))
                yield image_status(name, recipe.version, source, record, tag)
            else:
                refusal = self._answers.refusal(name, self.image_key(name)) or ""
                yield missing_status(name, "image", recipe.version, recipe.sources, refusal=refusal)

    def verify(self) -> list[str]:
        """Compare all cached files with their hashes; return one line for each that differs."""
        return [
            f"{entry.manifest.name} {entry.manifest.version}: {line}"
            for entry in self.store.entries()
            for line in damages(entry)
        ]

    def prune(self) -> list[str]:
        """Remove cached files and images that the present pins do not use; return what was removed.

        An image that a container still uses stays.
        """
        keep = {self.wanted(name).key for name in self.inventory.files}
        removed = [str(path) for path in self.store.prune(keep)]
        if self._connect is None:
            return removed
        current = {pinned_tag(name, self.image_key(name)) for name in self.inventory.images}
        for record in self.engine.labelled(LABEL_SUPPLY):
            name, key = record.labels[LABEL_SUPPLY], record.labels.get(LABEL_KEY, "")
            own = pinned_tag(name, key)
            if own in current or own not in record.tags:
                continue
            stale = [tag for tag in record.tags if tag.startswith(f"{REPOSITORY}/{name}:")]
            removed += [tag for tag in stale if self.engine.untag(tag)]
        return removed


def make_supplies(
    paths: Paths, catalogue: Catalogue, *, emit: Emit, docker: Callable[[], DockerClient] | None
) -> Supplies:
    """Return the supplies of a checkout; `docker` brings the engine up and returns a client of it.

    Without `docker`, tools and statuses work and images are refused.
    """

    return Supplies(
        paths=paths,
        inventory=make_inventory(paths.root, catalogue),
        emit=emit,
        engine=(lambda: DockerImages(docker())) if docker else None,
        search_path=os.environ.get("PATH", ""),
    )


def _unknown(name: str, known: Iterable[str]) -> NoReturn:
    raise ConfigurationError(
        "SUPPLY_UNKNOWN", f"there is no supply {name!r}", hint=f"Known: {', '.join(sorted(known))}."
    )


def _unlabelled(name: str) -> NoReturn:
    raise HarnessError(
        "IMAGE_UNLABELLED",
        f"the recipe of image {name} left no image with its tag and labels",
        hint="Correct the recipe.",
    )
