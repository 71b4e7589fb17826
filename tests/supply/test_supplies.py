"""The facade: keys that follow from keys, sources in order, statuses without side effects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import StepStarted
from rehearsal.supply.images import FunctionImage, ImageContext
from rehearsal.supply.recipes import ToolLocation
from rehearsal.supply.supplies import Supplies, render_statuses

from tests.supply.fakes import FakeImages, Recorder, image_recipe, make_supplies, text_recipe

KIND = ToolLocation("kind", "tools", "bin/tools", "0.31.0")


def program(folder: Path, name: str, answer: str) -> Path:
    """Put a program on a search path that prints `answer`."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{answer}'\n")
    path.chmod(0o755)
    return path


def test_a_tool_is_built_from_its_recipe_and_runs(tmp_path: Path) -> None:
    supplies = make_supplies(tmp_path, files=(text_recipe("tools", "made"),), tools=(KIND,))
    assert subprocess.check_output([supplies.tool("kind")], text=True) == "made\n"


def test_a_tool_of_exactly_the_pinned_version_is_taken_from_path(tmp_path: Path) -> None:
    log: list[str] = []
    there = program(tmp_path / "bin", "kind", "kind v0.31.0 go1.26.8 linux/amd64")
    supplies = make_supplies(
        tmp_path,
        files=(text_recipe("tools", "x", log=log),),
        tools=(KIND,),
        search_path=str(tmp_path / "bin"),
    )
    assert (supplies.tool("kind"), log) == (there, [])


def test_a_tool_of_another_version_is_not_taken_from_path(tmp_path: Path) -> None:
    program(tmp_path / "bin", "kind", "kind v0.30.0 go1.26.8 linux/amd64")
    supplies = make_supplies(
        tmp_path, files=(text_recipe("tools", "x"),), tools=(KIND,), search_path=str(tmp_path / "bin")
    )
    assert supplies.tool("kind").is_relative_to(tmp_path / "cache")


def test_a_tool_that_was_built_is_taken_without_asking_the_one_on_path(tmp_path: Path) -> None:
    recipe = text_recipe("tools", "made")
    built = make_supplies(tmp_path, files=(recipe,), tools=(KIND,)).tool("kind")
    asked = tmp_path / "asked"
    slow = program(tmp_path / "bin", "kind", "kind v0.31.0 go1.26.8 linux/amd64")
    slow.write_text(slow.read_text().replace("#!/bin/sh\n", f"#!/bin/sh\ntouch {asked}\n"))

    supplies = make_supplies(tmp_path, files=(recipe,), tools=(KIND,), search_path=str(tmp_path / "bin"))

    assert (supplies.tool("kind"), asked.exists()) == (built, False)
    assert [one.source for one in supplies.statuses() if one.name == "kind"] == ["built"]


def test_a_damaged_tool_is_rebuilt_at_the_next_use_and_said(tmp_path: Path) -> None:
    recorder, recipe = Recorder(), text_recipe("tools", "made")
    make_supplies(tmp_path, files=(recipe,), tools=(KIND,)).tool("kind").write_text("#!/bin/sh\necho evil\n")
    tool = make_supplies(tmp_path, files=(recipe,), tools=(KIND,), emit=recorder).tool("kind")
    assert subprocess.check_output([tool], text=True) == "made\n"
    assert "bin/tools is not what was built" in recorder.notices[0]


def test_a_change_of_what_is_built_from_changes_the_key(tmp_path: Path) -> None:
    log: list[str] = []
    for content in ("one", "two"):
        user = text_recipe("user", "same", needs=("part",), log=log)
        make_supplies(tmp_path, files=(text_recipe("part", content), user)).files("user")
    assert log == ["user", "user"]


def test_an_unknown_name_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no supply 'nothing'"):
        make_supplies(tmp_path).tool("nothing")


def test_an_image_is_made_once_and_found_afterwards(tmp_path: Path) -> None:
    log: list[str] = []
    engine, recipes = FakeImages(), (image_recipe("base", "a", log=log),)
    first = make_supplies(tmp_path, images=recipes, engine=engine).image("base")
    second = make_supplies(tmp_path, images=recipes, engine=engine).image("base")
    assert (first, log) == (second, ["base"])
    assert first.pinned == f"rehearsal/base:{first.key[:12]}"


def test_an_image_that_is_only_asked_for_is_not_made(tmp_path: Path) -> None:
    log: list[str] = []
    engine, recipes = FakeImages(), (image_recipe("base", "a", log=log),)
    assert make_supplies(tmp_path, images=recipes, engine=engine).image_if_there("base") is None
    assert log == []

    made = make_supplies(tmp_path, images=recipes, engine=engine).image("base")
    changed = (image_recipe("base", "b", log=log),)

    assert make_supplies(tmp_path, images=recipes, engine=engine).image_if_there("base") == made
    assert make_supplies(tmp_path, images=changed, engine=engine).image_if_there("base") is None
    assert log == ["base"]


def _refused(context: ImageContext) -> str:
    raise EnvironmentNotReadyError("STACK_NODE", "no room", hint="")


def _with_a_shortcut(folder: Path, shortcut: FunctionImage, emit: Recorder | None = None) -> Supplies:
    supplies = make_supplies(
        folder,
        images=(image_recipe("plain", "a"), shortcut),
        engine=FakeImages(),
        emit=emit or (lambda event: None),
    )
    supplies.inventory = replace(supplies.inventory, instead={"shortcut": "plain"})
    return supplies


def test_an_image_that_only_saves_time_is_replaced_where_it_cannot_be_made_and_that_is_said(
    tmp_path: Path,
) -> None:
    recorder = Recorder()
    broken = FunctionImage("shortcut", "1", dict, _refused, disk_bytes=0)
    supplies = _with_a_shortcut(tmp_path, broken, recorder)

    assert supplies.image_or_instead("shortcut").name == "plain"
    assert "shortcut could not be made, plain does as well and takes longer: no room" in recorder.notices[-1]
    assert [one.name for one in supplies.build() if one.ready] == ["plain"]
    with pytest.raises(EnvironmentNotReadyError, match="no room"):
        supplies.build(["shortcut"])


def test_an_image_that_only_saves_time_is_taken_where_it_can_be_made(tmp_path: Path) -> None:
    supplies = _with_a_shortcut(tmp_path, image_recipe("shortcut", "b", bases=("plain",)))

    assert supplies.image_or_instead("shortcut").name == "shortcut"
    assert {one.name for one in supplies.build() if one.ready} == {"plain", "shortcut"}


def test_the_moving_tag_follows_the_checkout(tmp_path: Path) -> None:
    engine = FakeImages()
    old = make_supplies(tmp_path, images=(image_recipe("base", "old"),), engine=engine).image("base")
    make_supplies(tmp_path, images=(image_recipe("base", "new"),), engine=engine).image("base")
    make_supplies(tmp_path, images=(image_recipe("base", "old"),), engine=engine).image("base")
    found = engine.find("rehearsal/base:1")
    assert found is not None
    assert found.id == old.id


def test_a_change_of_a_base_or_of_a_file_changes_an_images_key(tmp_path: Path) -> None:
    def key(base: str, tool: str) -> str:
        images = (image_recipe("base", base), image_recipe("top", "same", bases=("base",), needs=("tool",)))
        return make_supplies(tmp_path, files=(text_recipe("tool", tool),), images=images).image_key("top")

    assert len({key("a", "x"), key("b", "x"), key("a", "y")}) == 3
    assert key("a", "x") == key("a", "x")


def test_an_image_that_inherits_its_bases_labels_is_not_taken_for_it(tmp_path: Path) -> None:
    engine = FakeImages()
    supplies = make_supplies(tmp_path, images=(image_recipe("base", "a"),), engine=engine)
    made = supplies.image("base")
    record = engine.find(made.id)
    assert record is not None
    engine.add(b"service", record.labels, "shop/order:1")
    engine.untag(made.pinned)
    engine.untag(made.tag)
    assert (
        make_supplies(tmp_path, images=(image_recipe("base", "a"),), engine=engine).image("base").id
        == made.id
    )


def test_a_recipe_that_leaves_no_labelled_image_is_an_error(tmp_path: Path) -> None:
    def make(context: ImageContext) -> str:
        archive = context.build.scratch / "archive"
        archive.write_text("x")
        return context.engine.import_archive(archive, {}, context.tag).id

    broken = FunctionImage("broken", "1", dict, make, disk_bytes=0)
    with pytest.raises(HarnessError, match="no image with its tag and labels"):
        make_supplies(tmp_path, images=(broken,), engine=FakeImages()).image("broken")


def test_images_without_an_engine_are_an_environment_error(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentNotReadyError, match="container engine"):
        make_supplies(tmp_path, images=(image_recipe("base", "a"),)).image("base")


def test_statuses_build_nothing(tmp_path: Path) -> None:
    log: list[str] = []
    engine = FakeImages()
    supplies = make_supplies(
        tmp_path,
        files=(text_recipe("tools", "x", log=log),),
        tools=(KIND,),
        images=(image_recipe("base", "a", log=log),),
        engine=engine,
    )
    assert [(one.name, one.source, one.ready) for one in supplies.statuses()] == [
        ("kind", "built", False),
        ("tools", "built", False),
        ("base", "built", False),
    ]
    assert (log, engine.images, (tmp_path / "cache").exists()) == ([], {}, False)


def test_statuses_tell_what_is_there(tmp_path: Path) -> None:
    supplies = make_supplies(
        tmp_path,
        files=(text_recipe("tools", "x"),),
        tools=(KIND,),
        images=(image_recipe("base", "a"),),
        engine=FakeImages(),
    )
    built = supplies.build(["kind", "base"])
    assert [(one.name, one.ready, bool(one.where)) for one in built] == [
        ("kind", True, True),
        ("base", True, True),
    ]
    assert "missing" not in render_statuses(supplies.statuses())


def _with_toolchains(folder: Path, engine: FakeImages) -> Supplies:
    """Return supplies of which one is built from `go`, and one only with the help of `nodejs`."""
    return make_supplies(
        folder,
        files=(
            text_recipe("go", "go"),
            text_recipe("nodejs", "nodejs"),
            text_recipe("tools", "x", needs=("go",)),
            text_recipe("pages", "x", built_with=("nodejs",)),
        ),
        tools=(KIND,),
        images=(image_recipe("base", "a", needs=("pages",)),),
        engine=engine,
    )


def _unneeded(supplies: Supplies) -> set[str]:
    return {one.name for one in supplies.statuses() if not one.needed}


def test_toolchains_are_needed_while_something_must_be_built_with_them(tmp_path: Path) -> None:
    assert _unneeded(_with_toolchains(tmp_path, FakeImages())) == set()


def test_toolchain_of_what_is_there_is_not_needed(tmp_path: Path) -> None:
    engine = FakeImages()
    built = _with_toolchains(tmp_path, engine)
    built.build(["kind", "base"])
    shutil.rmtree(tmp_path / "cache" / "supplies" / "go")
    assert _unneeded(_with_toolchains(tmp_path, engine)) == {"go", "nodejs"}
    assert "not needed" in render_statuses(_with_toolchains(tmp_path, engine).statuses())


def test_files_of_an_image_that_is_there_are_not_needed(tmp_path: Path) -> None:
    engine = FakeImages()
    _with_toolchains(tmp_path, engine).image("base")
    shutil.rmtree(tmp_path / "cache")
    assert _unneeded(_with_toolchains(tmp_path, engine)) == {"pages", "nodejs"}


def test_verify_names_the_damaged_file_and_is_silent_otherwise(tmp_path: Path) -> None:
    supplies = make_supplies(tmp_path, files=(text_recipe("tools", "x"),), tools=(KIND,))
    tool = supplies.tool("kind")
    assert supplies.verify() == []
    tool.write_text("y")
    assert supplies.verify() == ["tools 1.0: bin/tools is not what was built"]


def test_prune_removes_old_keys_and_leaves_present_ones_and_images_in_use(tmp_path: Path) -> None:
    engine = FakeImages()

    def supplies(content: str) -> Supplies:
        return make_supplies(
            tmp_path,
            files=(text_recipe("tools", content),),
            images=(image_recipe("base", content), image_recipe("used", content)),
            engine=engine,
        )

    for content in ("old", "new"):
        supplies(content).build(["tools", "base", "used"])
    old_base, old_used = (supplies("old").image(name) for name in ("base", "used"))
    new = supplies("new")
    new.build(["base", "used"])
    engine.in_use.add(old_used.id)
    removed = new.prune()
    assert old_base.pinned in removed
    assert engine.find(old_used.id) is not None
    assert engine.find(new.image("base").id) is not None
    assert len(list(new.store.entries())) == 1


def test_a_build_says_its_version_and_where_its_log_is(tmp_path: Path) -> None:
    recorder = Recorder()
    make_supplies(tmp_path, files=(text_recipe("tools", "x"),), emit=recorder).files("tools")
    started = next(event for event in recorder.events if isinstance(event, StepStarted))
    assert started.name == "supply tools"
    assert str(tmp_path / "state" / "logs") in started.detail


_OFFLINE = """
import sys
from pathlib import Path
from tests.supply.fakes import make_supplies, text_recipe
from tests.supply.test_supplies import KIND
supplies = make_supplies(Path(sys.argv[1]), files=(text_recipe("tools", "made"),), tools=(KIND,))
print(supplies.tool("kind"), supplies.verify(), [one.ready for one in supplies.statuses()])
"""


def offline(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a Python script in a network namespace of its own, without a route."""
    root = Path(__file__).parents[2]
    return subprocess.run(
        ["/usr/bin/unshare", "--net", sys.executable, "-c", script, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'harness'}"},
        capture_output=True,
        text=True,
        check=False,
    )


needs_namespace = pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")


@needs_namespace
def test_what_is_cached_is_found_and_verified_without_a_network(tmp_path: Path) -> None:
    tool = make_supplies(tmp_path, files=(text_recipe("tools", "made"),), tools=(KIND,)).tool("kind")
    answer = offline(_OFFLINE, str(tmp_path))
    assert answer.stdout.strip() == f"{tool} [] [True, True]", answer.stderr


_OFFLINE_REAL = """
from pathlib import Path
from rehearsal.core import catalogue, paths
from rehearsal.core.events import ignore
from rehearsal.supply.supplies import make_supplies
root = Path.cwd()
supplies = make_supplies(paths.for_checkout(root), catalogue.load(root), emit=ignore, docker=None)
ready = [one.name for one in supplies.statuses() if one.ready and one.kind == "tool"]
print("looked at", len(ready), [supplies.tool(name).is_file() for name in ready], supplies.verify())
"""


@needs_namespace
@pytest.mark.real_cache
def test_the_real_cache_serves_without_a_network() -> None:
    answer = offline(_OFFLINE_REAL)
    count = int(answer.stdout.split()[2]) if answer.returncode == 0 else -1
    if count == 0:
        pytest.skip("no tool has been built on this machine yet")
    assert answer.stdout.strip() == f"looked at {count} {[True] * count} []", answer.stderr
