"""What the sources of `images/` promise before a build: pinned versions, shared bases, the forms of start."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

IMAGES = Path(__file__).resolve().parents[2] / "images"
FOLDERS = sorted(path.parent for path in IMAGES.glob("*/image.toml"))
RUNNING = [folder for folder in FOLDERS if "probe" in tomllib.loads((folder / "image.toml").read_text())]
POMS = sorted(IMAGES.glob("*/pom.xml"))
NAMESPACE = {"m": "http://maven.apache.org/POM/4.0.0"}
# A version of one release: no range, no LATEST, no SNAPSHOT.
EXACT = re.compile(r"[0-9]+(\.[0-9A-Za-z]+)+")


def name_of(path: Path) -> str:
    """The folder's name, as a test's id."""
    return path.name if path.is_dir() else path.parent.name


def instructions(folder: Path, word: str) -> list[str]:
    """The arguments of one Dockerfile instruction, continued lines joined."""
    text = (folder / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def properties(pom: ElementTree.Element) -> dict[str, str]:
    """The properties of a pom, as `${name}` refers to them."""
    return {one.tag.rpartition("}")[2]: (one.text or "") for one in pom.iterfind("m:properties/*", NAMESPACE)}


def versions(path: Path, what: str) -> dict[str, str]:
    """Artefact to version of all elements `what` of a pom; empty for one that states none."""
    pom = ElementTree.parse(path).getroot()  # noqa: S314 - our own file
    known = properties(pom)
    found = {}
    for one in pom.iterfind(f".//m:{what}", NAMESPACE):
        stated = one.findtext("m:version", "", NAMESPACE)
        name = stated.removeprefix("${").removesuffix("}")
        found[one.findtext("m:artifactId", "", NAMESPACE)] = known.get(name, stated)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_every_stage_stands_on_an_argument_or_on_another_stage(folder: Path) -> None:
    stages: set[str] = set()
    for line in instructions(folder, "FROM"):
        source, _, stage = line.partition(" AS ")
        assert source.startswith("${") or source in stages, line
        stages.add(stage)


@pytest.mark.parametrize("folder", RUNNING, ids=name_of)
def test_what_runs_starts_without_a_shell(folder: Path) -> None:
    (entrypoint,) = instructions(folder, "ENTRYPOINT")
    assert entrypoint.startswith("[")
    assert all(command.startswith("[") for command in instructions(folder, "CMD"))


@pytest.mark.parametrize("folder", RUNNING, ids=name_of)
def test_what_runs_has_one_health_check(folder: Path) -> None:
    assert len(instructions(folder, "HEALTHCHECK")) == 1


@pytest.mark.parametrize("folder", RUNNING, ids=name_of)
def test_an_entry_script_becomes_the_server(folder: Path) -> None:
    script = folder / "entrypoint.sh"
    if not script.exists():
        assert "entrypoint" not in instructions(folder, "ENTRYPOINT")[0]
        return
    assert script.read_text(encoding="utf-8").splitlines()[-1].startswith("exec ")


@pytest.mark.parametrize("folder", RUNNING, ids=name_of)
def test_what_runs_leaves_no_volume_behind(folder: Path) -> None:
    assert not instructions(folder, "VOLUME")


@pytest.mark.parametrize("path", POMS, ids=name_of)
def test_every_java_image_stands_on_the_one_java_layer(path: Path) -> None:
    bases = tomllib.loads((path.parent / "image.toml").read_text(encoding="utf-8"))["bases"]
    assert bases == {"JRE_IMAGE": "jre", "JDK_IMAGE": "jdk"}


@pytest.mark.parametrize("path", POMS, ids=name_of)
def test_every_plugin_is_pinned(path: Path) -> None:
    stated = versions(path, "plugin")
    called = re.findall(r"maven-[a-z]+-plugin:([^:]+):", (path.parent / "Dockerfile").read_text())
    assert stated or called
    assert all(EXACT.fullmatch(version) for version in [*stated.values(), *called])


@pytest.mark.parametrize("path", POMS, ids=name_of)
def test_every_artefact_is_pinned_by_itself_or_by_a_pinned_list(path: Path) -> None:
    stated = versions(path, "dependency")
    imported = versions(path, "dependencyManagement/m:dependencies/m:dependency")
    for artefact, version in stated.items():
        assert EXACT.fullmatch(version) or (not version and imported), artefact
