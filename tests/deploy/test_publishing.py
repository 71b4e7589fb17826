"""What a release publishes, and how."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.deploy.manifests import containers
from rehearsal.deploy.publishing import RELEASED, Publisher, Release, chosen
from rehearsal.deploy.releasing import Version, at_version, read_steps
from rehearsal.supply.buildkit import BuildKitClient

from tests.deploy.base import ROOT

COMMIT = Version("registry.example/shop", "0123abc")
# Notes its words, and writes the id that a build promises.
DOCKER = """#!{python}
import pathlib, sys
with open({calls!r}, "a") as calls:
    print(*(word for word in sys.argv[1:] if not word.startswith(("--iidfile", "--secret"))), file=calls)
for word in sys.argv:
    if word.startswith("--iidfile="):
        pathlib.Path(word.partition("=")[2]).write_text("sha256:0")
sys.exit({refused!r} in sys.argv and "denied")
"""


@dataclass(frozen=True)
class Bench:
    """A publisher, and what its docker was told."""

    publisher: Publisher
    calls: Path

    def told(self) -> list[str]:
        return self.calls.read_text(encoding="utf-8").splitlines()


def _bench(folder: Path, refused: str = "nothing") -> Bench:
    program, calls = folder / "docker", folder / "calls"
    program.write_text(
        DOCKER.format(python=sys.executable, calls=str(calls), refused=refused), encoding="utf-8"
    )
    program.chmod(0o755)
    client = BuildKitClient(program, "20.10", with_buildx=False)
    publisher = Publisher(
        ROOT, client, lambda name: f"rehearsal/{name}:1", folder / "logs", lambda event: None
    )
    return Bench(publisher, calls)


def _names() -> Iterator[str]:
    for one in RELEASED:
        yield from (one.name, *one.also)


def test_a_release_has_every_image_that_the_manifests_name() -> None:
    steps = at_version(read_steps(ROOT), COMMIT)
    named = {one["image"] for one in containers(one for step in steps for one in step.objects)}
    assert named == {COMMIT.reference(name) for name in _names()}


def test_tilt_builds_the_same_folders_under_the_same_names() -> None:
    text = (ROOT / "tilt" / "stack.tiltfile").read_text(encoding="utf-8")
    found = re.search(r"^_IMAGES = (\{.*?^\})", text, re.M | re.S)
    assert found is not None
    tilts = ast.literal_eval(found[1])
    ours = {f"mambogo/{name}": one.folder for one in RELEASED if one.folder for name in (one.name, *one.also)}
    # The sandbox stands for somebody else's system; it is never released.
    assert {name: folder for name, folder in tilts.items() if name != "mambogo/payment-sandbox"} == ours


@pytest.mark.parametrize("release", [one for one in RELEASED if one.folder], ids=lambda one: one.name)
def test_each_has_its_dockerfile(release: Release) -> None:
    assert (ROOT / "services" / release.folder / "Dockerfile").is_file()


def test_a_service_is_built_once_and_pushed_under_all_its_names(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    references = bench.publisher.publish(chosen(["order-service"])[0], COMMIT)
    service, migrations, topics = references
    assert bench.told() == [
        f"build --progress=plain --tag={service} --file=order/Dockerfile .",
        f"push {service}",
        f"tag {service} {migrations}",
        f"push {migrations}",
        f"tag {service} {topics}",
        f"push {topics}",
    ]


def test_a_supply_is_not_built_anew(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    (reference,) = bench.publisher.publish(chosen(["eureka-server"])[0], COMMIT)
    assert bench.told() == [f"tag rehearsal/eureka:1 {reference}", f"push {reference}"]


def test_a_registry_that_refuses_is_named_with_its_words(tmp_path: Path) -> None:
    bench = _bench(tmp_path, refused="push")
    with pytest.raises(EnvironmentNotReadyError, match=r"docker push .*cart-service(.|\n)*denied"):
        bench.publisher.publish(chosen(["cart-service"])[0], COMMIT)


def test_without_names_everything_is_published() -> None:
    assert chosen([]) == RELEASED


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError) as raised:
        chosen(["shop"])
    assert "order-service" in raised.value.hint
