"""The Debian base image: pulled from a container registry, else built from Debian's packages.

The mirror is the one that the machine's own apt is configured to use. Nothing is installed that is not
essential; what only serves people on a terminal is removed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.events import Level, Notice
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.supply import apt
from rehearsal.supply.image_engine import PullFailedError
from rehearsal.supply.images import FunctionImage, ImageContext

NAME = "debian"
_APT_SECONDS = 30.0
_DEBOOTSTRAP_SECONDS = 1800.0  # 30 s on a fast line
_TAR_SECONDS = 300.0
_DISK_BYTES = 1 << 30
_EPOCH_SECONDS = 1_700_000_000  # arbitrary; one time for all files makes equal inputs an equal layer

_PACKAGES = ("debootstrap", "debian-archive-keyring")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_ROOT_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# debootstrap mounts /proc below its target. A mount namespace makes that end with the process, also after
# kill -9: clearing the scratch folder must never walk into a mounted /proc.
_ISOLATED = ("unshare", "--mount", "--propagation", "private", "--fork", "--kill-child")
_TAR = (
    "tar",
    "--format=posix",
    "--sort=name",
    "--numeric-owner",
    "--xattrs",
    "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
)

# Kept: copyright files (licences ask for it), time zones, the C.UTF-8 locale.
_REMOVED = (
    "var/cache/apt/archives/*.deb",
    "var/cache/apt/*.bin",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/lib/apt/lists/*",
    "var/lib/dpkg/*-old",
    "var/log/*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
    "usr/share/groff/*",
    "usr/share/lintian/*",
    "usr/share/doc/*/changelog*",
    "usr/share/doc/*/NEWS*",
    "usr/share/doc/*/README*",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/machine-id",
    "dev/*",
)
_DPKG_EXCLUDES = """path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/groff/*
path-exclude=/usr/share/lintian/*
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
"""
_APT_SETTINGS = """APT::Install-Recommends "false";
APT::Install-Suggests "false";
Acquire::Languages "none";
Acquire::Retries "3";
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
"""
_NO_SERVICES = "#!/bin/sh\nexit 101\n"  # policy-rc.d: a package must not start its service in an image


@dataclass(frozen=True, slots=True)
class Archive:
    """A package archive as the machine's apt knows it."""

    address: str
    suite: str
    components: tuple[str, ...]

    def __str__(self) -> str:
        return f"deb {self.address} {self.suite} {' '.join(self.components)}"


def recipe(suite: str, reference: str) -> FunctionImage:
    """Return the recipe; `reference` is what to pull, empty for never."""
    return FunctionImage(
        name=NAME,
        version=suite,
        read_inputs=lambda: {
            "suite": suite,
            "reference": reference,
            "removed": list(_REMOVED),
            "files": [_DPKG_EXCLUDES, _APT_SETTINGS, _NO_SERVICES],
            "machine": os.uname().machine,
        },
        make_image=lambda context: _make(context, suite, reference),
        disk_bytes=_DISK_BYTES,
        sources=("pulled", "built") if reference else ("built",),
    )


def _make(context: ImageContext, suite: str, reference: str) -> str:
    if reference:
        try:
            return context.pulled(reference)
        except PullFailedError as error:
            context.emit(
                Notice(Level.WARNING, f"{error.message}; the Debian base is built from packages instead")
            )
    return _bootstrap(context, suite)


def _bootstrap(context: ImageContext, suite: str) -> str:
    _require_means(context)
    archives = find_archives(suite)
    root, archive = context.build.scratch / "root", context.build.scratch / "root.tar"
    _install(context, archives, root)
    _slim(root)
    context.build.run(
        "pack the root file system",
        [*_TAR, f"--mtime=@{_EPOCH_SECONDS}", "-C", str(root), "-cf", str(archive), "."],
        timeout_seconds=_TAR_SECONDS,
    )
    context.build.step.progress("import the root file system")
    return context.engine.import_archive(archive, context.labels, context.tag).id


def _install(context: ImageContext, archives: tuple[Archive, ...], root: Path) -> None:
    main = archives[0]
    environment = {**_proxy(), "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8", "PATH": _ROOT_PATH}
    context.build.run(
        f"debootstrap of {main.suite}",
        [
            *_ISOLATED,
            "debootstrap",
            "--variant=minbase",
            f"--keyring={_KEYRING}",
            *(["--include=ca-certificates"] if main.address.startswith("https:") else []),
            main.suite,
            str(root),
            main.address,
        ],
        timeout_seconds=_DEBOOTSTRAP_SECONDS,
        env=environment,
    )
    _configure(root, archives)
    context.build.run(
        "install security updates",
        [*_ISOLATED, "chroot", str(root), "sh", "-c", "apt-get -q update && apt-get -q -y upgrade"],
        timeout_seconds=_DEBOOTSTRAP_SECONDS,
        env=environment,
    )


def find_archives(suite: str) -> tuple[Archive, ...]:
    """Return the archives of a suite, its updates and its security fixes, from apt's own configuration.

    Raises EnvironmentNotReadyError when apt knows none.
    """
    fields = "$(SITE)\t$(RELEASE)\t$(CODENAME)\t$(COMPONENT)"
    try:
        answer = run(
            ["apt-get", "indextargets", "--format", fields, "Created-By: Packages"],
            timeout_seconds=_APT_SECONDS,
        ).output
    except ProcessFailedError as error:
        raise _no_archive(suite) from error
    found = parse_archives(answer.splitlines(), suite)
    if not found:
        raise _no_archive(suite)
    return found


def parse_archives(lines: Iterable[str], suite: str) -> tuple[Archive, ...]:
    """Return the archives of `suite` among apt's index targets, the suite itself first.

    A line is address, release, code name and component, separated by tabs. A release may be called by a
    moving name (`stable`); its code name then says which it is, once apt has read its index.
    """
    components: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        address, release, codename, component = (line.strip("\n").split("\t") + [""] * 4)[:4]
        name = next((name for name in (release, codename) if name.split("-")[0] == suite), None)
        if name in (suite, f"{suite}-updates", f"{suite}-security") and name is not None:
            components.setdefault((address, name), []).append(component)
    found = [Archive(*place, tuple(dict.fromkeys(parts))) for place, parts in components.items()]
    found.sort(key=lambda archive: len(archive.suite))
    return tuple(found) if found and found[0].suite == suite else ()


def _no_archive(suite: str) -> EnvironmentNotReadyError:
    return EnvironmentNotReadyError(
        "DEBIAN_MIRROR_UNKNOWN",
        f"the machine's apt knows no archive of Debian {suite}, so the base image cannot be built here",
        hint=f"Give apt a source for {suite}, or make a container registry reachable that has the image "
        "named in rehearsal.toml ([images] debian).",
    )


def _require_means(context: ImageContext) -> None:
    missing = _missing()
    if missing and apt.can_install():
        apt.install(
            _PACKAGES,
            code="DEBOOTSTRAP_MISSING",
            what="what builds the Debian base",
            log=context.build.log,
            progress=context.build.step,
        )
        missing = _missing()
    if missing:
        raise EnvironmentNotReadyError(
            "DEBOOTSTRAP_MISSING",
            f"building the Debian base needs {', '.join(missing)}",
            hint=f"`apt-get install {' '.join(_PACKAGES)}`, then run the same command again.",
        )
    if os.geteuid() != 0:
        raise EnvironmentNotReadyError(
            "DEBOOTSTRAP_NEEDS_ROOT",
            "building the Debian base needs root, and its registry could not be used",
            hint="Make the registry of the image in rehearsal.toml ([images] debian) reachable, or run "
            "`sudo --preserve-env=HOME rehearsal supply build debian` once.",
        )


def _missing() -> list[str]:
    programs = [name for name in ("debootstrap", "unshare", "tar", "chroot") if _which(name) is None]
    return programs if _KEYRING.is_file() else [*programs, str(_KEYRING)]


def _which(name: str) -> str | None:
    # Debian keeps debootstrap and chroot where a user's PATH does not look.
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin")


def _proxy() -> dict[str, str]:
    """Return apt's configured proxies as variables: debootstrap does not read apt's configuration."""
    found = {}
    for scheme in ("http", "https"):
        if os.environ.get(f"{scheme}_proxy"):
            found[f"{scheme}_proxy"] = os.environ[f"{scheme}_proxy"]
            continue
        query = ["apt-config", "shell", "proxy", f"Acquire::{scheme}::Proxy"]
        answer = run(query, timeout_seconds=_APT_SECONDS, check=False).output.strip()
        value = answer.removeprefix("proxy=").strip("'\"")
        if value and value.upper() != "DIRECT":
            found[f"{scheme}_proxy"] = value
    return found


def _configure(root: Path, archives: tuple[Archive, ...]) -> None:
    """Write what later installations in the image go by: sources, and what is left out."""
    apt, dpkg = root / "etc" / "apt", root / "etc" / "dpkg" / "dpkg.cfg.d"
    (apt / "sources.list").write_text("".join(f"{archive}\n" for archive in archives), encoding="utf-8")
    (apt / "apt.conf.d" / "90-image").write_text(_APT_SETTINGS, encoding="utf-8")
    dpkg.mkdir(parents=True, exist_ok=True)
    (dpkg / "90-image").write_text(_DPKG_EXCLUDES, encoding="utf-8")
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text(_NO_SERVICES, encoding="utf-8")
    policy.chmod(0o755)


def _slim(root: Path) -> None:
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    # Present and empty: systemd and dbus fill it at the first boot of what is made from this image.
    (root / "etc" / "machine-id").touch()
