"""Recipes for files: what a supply is made from, and how.

A recipe decides and builds; keeping, verifying and finding belongs to `rehearsal.supply.store`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from rehearsal.supply.building import BuildContext


class FileRecipe(Protocol):
    """How one file supply is made."""

    @property
    def name(self) -> str:
        """Name of the supply."""

    @property
    def version(self) -> str:
        """Pinned version, for people."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the file supplies that it is built from; their keys become part of its own."""

    @property
    def built_with(self) -> tuple[str, ...]:
        """Names of the file supplies that only host its build: fetched for it, and no part of its key."""

    @property
    def disk_bytes(self) -> int:
        """What the build takes on disk at most."""

    def inputs(self) -> Mapping[str, object]:
        """Return everything that decides the content; JSON values only, read without network."""

    def build(self, context: BuildContext) -> Mapping[str, str]:
        """Fill `context.target`; return the tools that hosted the build, name to version."""


@dataclass(frozen=True, slots=True)
class FunctionRecipe:
    """A recipe of a plain function, for supplies that need no class of their own."""

    name: str
    version: str
    read_inputs: Callable[[], Mapping[str, object]]
    make: Callable[[BuildContext], Mapping[str, str]]
    needs: tuple[str, ...] = ()
    built_with: tuple[str, ...] = ()
    disk_bytes: int = 0

    def inputs(self) -> Mapping[str, object]:
        """Return what `read_inputs` says."""
        return self.read_inputs()

    def build(self, context: BuildContext) -> Mapping[str, str]:
        """Call `make`."""
        return self.make(context)


@dataclass(frozen=True, slots=True)
class ToolLocation:
    """Where a program lies in a file supply."""

    name: str
    supply: str
    path: str  # relative to the supply's folder
    version: str
