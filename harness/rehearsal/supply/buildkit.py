"""Building an image from a Dockerfile with BuildKit, through a Docker client program that can.

The Python package speaks only to the engine's legacy builder. Client programs before 23 speak BuildKit by
themselves, later ones through the buildx plug-in; one without it cannot. No builder but the engine's own is
used: another one would not see the engine's images.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import ProcessFailedError, run
from rehearsal.supply.building import BuildContext

_PROBE_SECONDS = 20.0
_BUILD_SECONDS = 3600.0  # the JVM images fetch hundreds of MB
_LAST_MAJOR_WITH_BUILDKIT = 22  # 23.0 moved BuildKit into the buildx plug-in
_CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
CA_SECRET = "ca-certificates"  # noqa: S105 - the name under which a RUN step mounts the host's CA bundle


@dataclass(frozen=True, slots=True)
class BuildKitClient:
    """A client program that can build with BuildKit."""

    program: Path
    version: str
    with_buildx: bool

    def __str__(self) -> str:
        how = "with buildx" if self.with_buildx else "with BuildKit built in"
        return f"{self.program} {self.version} {how}"


@dataclass(frozen=True, slots=True)
class DockerfileBuild:
    """One call of the client."""

    folder: Path  # the build context, Dockerfile included
    tag: str
    labels: Mapping[str, str]
    arguments: Mapping[str, str] = field(default_factory=dict)
    target: str | None = None
    file: str | None = None  # of the Dockerfile, from `folder`, where it is not at its top


def find_client(search_path: str) -> BuildKitClient:
    """Return the first Docker client on a search path that can build with BuildKit.

    Raises EnvironmentNotReadyError that says what was found instead.
    """
    refused = []
    for program in _programs(search_path):
        client, reason = _examine(program)
        if client is not None:
            return client
        refused.append(f"{program}: {reason}")
    raise EnvironmentNotReadyError(
        "BUILDKIT_CLIENT_MISSING",
        "no Docker client on PATH can build with BuildKit" + "".join(f"\n  {line}" for line in refused),
        hint="Install buildx for it (`apt-get install docker-buildx`, or docker-buildx-plugin from Docker's "
        "own packages), or Debian's docker.io, whose client can.",
    )


def _programs(search_path: str) -> Iterator[Path]:
    seen = set()
    for folder in filter(None, search_path.split(os.pathsep)):
        program = Path(folder) / "docker"
        if program.is_file() and os.access(program, os.X_OK) and program.resolve() not in seen:
            seen.add(program.resolve())
            yield program


def _examine(program: Path) -> tuple[BuildKitClient | None, str]:
    try:
        answer = run([str(program), "--version"], timeout_seconds=_PROBE_SECONDS).output
        found = re.search(r"version (\d+)\.(\S+?),", answer)
        if found is None:
            return None, f"does not say its version: {answer.strip()[:80]}"
        version = f"{found[1]}.{found[2]}"
        if int(found[1]) <= _LAST_MAJOR_WITH_BUILDKIT:
            return BuildKitClient(program, version, with_buildx=False), ""
        if run([str(program), "buildx", "version"], timeout_seconds=_PROBE_SECONDS, check=False).ok:
            return BuildKitClient(program, version, with_buildx=True), ""
    except ProcessFailedError as error:
        return None, error.message.splitlines()[0]
    return None, f"{version} has no buildx plug-in"


def build(context: BuildContext, client: BuildKitClient, wanted: DockerfileBuild) -> str:
    """Build an image and return its id."""
    id_file = context.scratch / "image-id"
    context.run(
        f"docker build of {wanted.tag}",
        [str(client.program), *arguments_of(client, wanted, id_file)],
        timeout_seconds=_BUILD_SECONDS,
        env=environment_of(),
        cwd=wanted.folder,
    )
    return id_file.read_text(encoding="utf-8").strip()


def environment_of() -> dict[str, str]:
    """Return the environment that makes a client build one image with the engine's own BuildKit."""
    return {
        **os.environ,
        "DOCKER_BUILDKIT": "1",
        "BUILDX_BUILDER": "default",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # else the result is an index, not an image
        "BUILDKIT_PROGRESS": "plain",
    }


def arguments_of(client: BuildKitClient, wanted: DockerfileBuild, id_file: Path) -> list[str]:
    """Return the client's words for one build; the last is the context, which is the working directory."""
    bundle = next((path for path in _CA_BUNDLES if Path(path).is_file()), None)
    return [
        *(["buildx", "build", "--load"] if client.with_buildx else ["build"]),
        "--progress=plain",
        f"--iidfile={id_file}",
        f"--tag={wanted.tag}",
        *(f"--label={name}={value}" for name, value in sorted(wanted.labels.items())),
        *(f"--build-arg={name}={value}" for name, value in sorted(wanted.arguments.items())),
        *([f"--target={wanted.target}"] if wanted.target else []),
        *([f"--file={wanted.file}"] if wanted.file else []),
        *([f"--secret=id={CA_SECRET},src={bundle}"] if bundle else []),
        ".",
    ]
