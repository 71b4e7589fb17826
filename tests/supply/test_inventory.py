"""The inventory of this checkout: everything named is there, and nothing is looked up over a network."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from rehearsal.core import catalogue
from rehearsal.core.errors import ConfigurationError
from rehearsal.deploy.localising import SUPPLIED
from rehearsal.supply.images import read_folder
from rehearsal.supply.inventory import STACK_IMAGES, Inventory, make_inventory, node_image_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture
def inventory() -> Inventory:
    return make_inventory(ROOT, catalogue.load(ROOT))


def test_every_base_and_every_file_that_is_asked_for_exists(inventory: Inventory) -> None:
    for image in inventory.images.values():
        assert set(image.bases) <= set(inventory.images), image.name
        assert set(image.needs) <= set(inventory.files), image.name
    for recipe in inventory.files.values():
        assert set(recipe.needs) <= set(inventory.files), recipe.name
    for tool in inventory.tools.values():
        assert tool.supply in inventory.files, tool.name


def test_a_stacks_node_has_every_image_that_is_not_built_by_tilt_and_what_those_stand_on() -> None:
    bases = re.findall(
        r"^ARG PYTHON_IMAGE=rehearsal/(\S+):",
        (ROOT / "services/order/Dockerfile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert len(bases) == 1
    assert set(STACK_IMAGES) == {*SUPPLIED.values(), *bases}


def test_the_node_is_made_anew_for_its_sources_and_not_for_its_page(tmp_path: Path) -> None:
    folder = tmp_path / "node-image"
    shutil.copytree(ROOT / "kind" / "node-image", folder)
    recipe = node_image_recipe(folder, catalogue.load(ROOT).versions)
    before = recipe.inputs()

    (folder / "README.md").write_text("other words", encoding="utf-8")
    assert recipe.inputs() == before

    (folder / "preload.sh").write_text("other deeds", encoding="utf-8")
    assert recipe.inputs() != before


def test_names_are_unique_over_all_kinds(inventory: Inventory) -> None:
    names = [*inventory.files, *inventory.images]
    assert len(names) == len(set(names))


def test_a_machine_without_go_and_node_js_has_recipes_for_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    inventory = make_inventory(ROOT, catalogue.load(ROOT))
    assert {"go", "nodejs"} <= set(inventory.files)
    assert "go" in inventory.files["kubernetes"].needs


def test_each_images_folder_has_a_dockerfile_and_takes_its_bases_as_arguments() -> None:
    for settings in sorted((ROOT / "images").glob("*/image.toml")):
        image = read_folder(settings.parent)
        dockerfile = (settings.parent / "Dockerfile").read_text(encoding="utf-8")
        for argument in image.settings.bases:
            assert f"ARG {argument}" in dockerfile, settings
        assert "# syntax=" not in dockerfile, settings
        assert image.name == settings.parent.name


@pytest.mark.parametrize(
    "text", ['name = "Bad Name"\nversion = "1"\n', 'name = "a"\n', 'name = "a"\nversion = "1/2"\n', "name = "]
)
def test_an_invalid_image_toml_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "image.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"image\.toml is not valid"):
        read_folder(tmp_path)
