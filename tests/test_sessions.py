"""Every test runs in some session: one that `nox -s tests` leaves out by its mark is another session's."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"


@dataclass(frozen=True)
class Collecting:
    """What one call of pytest in the noxfile collects: everything below some paths that its `-m` selects."""

    paths: tuple[Path, ...]
    expression: str

    def takes(self, file: Path, marks: set[str]) -> bool:
        """Return whether the tests of a file with these marks run."""
        return any(file.is_relative_to(path) for path in self.paths) and selects(self.expression, marks)


def selects(expression: str, marks: set[str]) -> bool:
    """Return whether pytest's `-m` takes a test with these marks; empty takes everything."""
    return not expression or _holds(ast.parse(expression, mode="eval").body, marks)


def _holds(node: ast.expr, marks: set[str]) -> bool:
    match node:
        case ast.Name(id=name):
            return name in marks
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _holds(operand, marks)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(one, marks) for one in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(_holds(one, marks) for one in values)
    raise AssertionError(f"{ast.dump(node)} is not read here")


def collectings() -> list[Collecting]:
    """Return every call of pytest of the noxfile that is about the harness's own tests."""
    tree = ast.parse((ROOT / "noxfile.py").read_text(encoding="utf-8"))
    return [found for one in ast.walk(tree) if isinstance(one, ast.FunctionDef) for found in _of(one)]


def _of(session: ast.FunctionDef) -> Iterator[Collecting]:
    texts = {
        name.id: one.value.value
        for one in ast.walk(session)
        if isinstance(one, ast.Assign)
        and isinstance(one.value, ast.Constant)
        and isinstance(one.value.value, str)
        for name in one.targets
        if isinstance(name, ast.Name)
    }
    for call in ast.walk(session):
        words = [_text(one, texts) for one in call.args] if isinstance(call, ast.Call) else []
        if words[:1] != ["pytest"]:
            continue
        paths = tuple(ROOT / word for word in words if word.startswith("tests/"))
        # Services' own suites run in their folders: without a path only this session is about the harness.
        if paths or (session.name == "tests" and "-m" in words):
            yield Collecting(paths or (TESTS,), words[words.index("-m") + 1] if "-m" in words else "")


def _text(node: ast.expr, texts: dict[str, str]) -> str:
    """Return a literal or what a name was set to; empty for anything else."""
    value = node.value if isinstance(node, ast.Constant) else None
    return value if isinstance(value, str) else texts.get(ast.unparse(node), "")


def marks_of(file: Path) -> set[str]:
    """Return the marks that stand in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {
        one.attr
        for one in ast.walk(tree)
        if isinstance(one, ast.Attribute) and ast.unparse(one.value) == "pytest.mark"
    }


EVERYTHING = next(one for one in collectings() if one.paths == (TESTS,))
LEFT_OUT = [file for file in sorted(TESTS.rglob("test_*.py")) if not EVERYTHING.takes(file, marks_of(file))]


def test_what_needs_a_cluster_is_left_out_of_the_tests_without_one() -> None:
    assert TESTS / "deploy" / "test_tiltfile.py" in LEFT_OUT


@pytest.mark.parametrize("file", LEFT_OUT, ids=lambda file: str(file.relative_to(TESTS)))
def test_a_file_that_is_left_out_runs_in_another_session(file: Path) -> None:
    assert [one for one in collectings() if one.takes(file, marks_of(file))] != []


@pytest.mark.parametrize(
    ("marks", "taken"),
    [({"cluster"}, True), ({"cluster", "killed"}, False), (set(), False)],
    ids=["cluster", "killed", "none"],
)
def test_marks_are_read_as_pytest_reads_them(marks: set[str], *, taken: bool) -> None:
    assert selects("cluster and not pipeline and not killed", marks) is taken
