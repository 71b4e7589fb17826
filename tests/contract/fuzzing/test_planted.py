"""Fuzzing a real service: each planted defect is found and named, a clean one gives no finding."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rehearsal.contract.fuzzing import running
from rehearsal.contract.fuzzing.judging import Run, Subject, evidence
from rehearsal.contract.fuzzing.reading import read
from rehearsal.contract.fuzzing.running import Fuzz, User, fuzz
from rehearsal.core.checks import Check
from rehearsal.core.verdicts import Verdict

HERE = Path(__file__).parent
ALICE, BOB = User("alice", "alice"), User("bob", "bob")
SEED = 1
LIMIT_SECONDS = 200.0  # of what takes five; only what hangs reaches it
FUZZED, RIGHTS, REACHED = "contract.fuzz", "contract.authorised", "contract.covered"
ITEM = "/things/{thing_id}"
# Of stateful scenarios, where ten do not lead there: whatever was deleted has to be asked for again.
EXAMPLES = {"not-deleted": 20}

pytestmark = [pytest.mark.enable_socket, pytest.mark.timeout(600)]


@contextmanager
def serving(planted: str) -> Iterator[str]:
    """Have the service for the length of the block, with what is planted."""
    argv = [sys.executable, str(HERE / "things.py"), planted]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def _fuzzed(
    planted: str,
    folder: Path,
    *,
    user: User = ALICE,
    limit_seconds: float = LIMIT_SECONDS,
    examples: int = 10,
) -> Run:
    with serving(planted) as url:
        one = Fuzz(
            document=f"{url}/openapi.json",
            url=url,
            config=HERE / "schemathesis.toml",
            users=(ALICE, BOB),
            user=user,
            seed=SEED,
            limit_seconds=limit_seconds,
            scenarios=examples,
            arguments=("-n", "10"),
        )
        return Run(user, SEED, read(folder, asyncio.run(fuzz(one, folder))))


def _judged(run: Run) -> list[Check]:
    return list(Subject("things-service", "directly", "contract/things.json", "again").judge([run]))


def _found(checks: list[Check]) -> set[tuple[str, str]]:
    return {(one.id, one.subject) for one in checks if one.verdict is Verdict.FAIL}


def test_tables_of_unicode_are_built_once_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: dict[Path, bytes] = {}
    monkeypatch.setattr(running, "_built", built)

    first = _fuzzed("", tmp_path / "first", examples=2)
    kept = dict(built)
    second = _fuzzed("", tmp_path / "second", examples=2)

    assert any("utf-8" in name.name for name in kept)
    assert {name.parts[:2] for name in kept} == {(".hypothesis", "unicode_data")}
    assert built == kept
    assert first.seen == second.seen


def test_clean_service_gives_no_finding(tmp_path: Path) -> None:
    checks = _judged(_fuzzed("", tmp_path, examples=40))  # as many as it takes to follow every link

    assert [(one.id, one.verdict) for one in checks] == [
        (kind, Verdict.PASS) for kind in (FUZZED, RIGHTS, REACHED)
    ]


@pytest.mark.parametrize(
    ("planted", "kind", "operation", "promise"),
    [
        ("undeclared-status", FUZZED, "POST /things", "only documented statuses"),
        ("server-error", FUZZED, "POST /things", "no request makes it answer 5xx"),
        ("not-kept", FUZZED, "POST /things", "what was made is there"),
        ("not-deleted", FUZZED, f"DELETE {ITEM}", "what was deleted is gone"),
        ("change-lost", FUZZED, f"PUT {ITEM}", "what a success has changed is there to be read"),
        ("cursor-ignored", FUZZED, "GET /things", "each page goes on where the one before it ended"),
        ("auth-ignored", RIGHTS, "GET /things", "nobody gets in without a good token"),
        ("strangers-read", RIGHTS, f"GET {ITEM}", "nobody reads another user's object"),
        ("strangers-change", RIGHTS, f"PUT {ITEM}", "nobody changes another user's object"),
    ],
)
def test_planted_defect_is_found_and_its_operation_named(
    planted: str, kind: str, operation: str, promise: str, tmp_path: Path
) -> None:
    run = _fuzzed(planted, tmp_path, examples=EXAMPLES.get(planted, 10))
    found = [one for one in _judged(run) if one.verdict is Verdict.FAIL]

    (check,) = (one for one in found if (one.id, one.subject) == (kind, f"things-service {operation}"))
    assert promise in check.expected


@pytest.fixture(scope="module")
def wrong_type(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on a service of which one operation answers a field in another type."""
    return _fuzzed("wrong-type", tmp_path_factory.mktemp("wrong-type"))


def test_only_the_operation_with_the_defect_is_named(wrong_type: Run) -> None:
    checks = _judged(wrong_type)

    assert {found for found in _found(checks) if found[0] != REACHED} == {
        (FUZZED, f"things-service GET {ITEM}")
    }
    (promise,) = (one.expected for one in checks if (one.id, one.verdict) == (FUZZED, Verdict.FAIL))
    assert "answers as their schema says" in promise


@pytest.mark.parametrize(
    ("planted", "why"),
    [("nobody-let-in", "nobody was let in"), ("nothing-there", "nothing that was asked for was there")],
)
def test_green_but_empty_is_a_failure(planted: str, why: str, tmp_path: Path) -> None:
    checks = {one.subject: one for one in _judged(_fuzzed(planted, tmp_path)) if one.id == REACHED}

    assert checks[f"things-service GET {ITEM}"].verdict is Verdict.FAIL
    assert checks[f"things-service GET {ITEM}"].sentence == f"directly: {why}"


def test_service_that_lets_nobody_in_has_no_link_that_was_followed(tmp_path: Path) -> None:
    assert (REACHED, "things-service links") in _found(_judged(_fuzzed("nobody-let-in", tmp_path)))


def test_who_has_no_right_and_succeeds_is_found(tmp_path: Path) -> None:
    visitor = User("alice", "alice", forbidden=("POST /things",))

    checks = _judged(_fuzzed("", tmp_path, user=visitor))

    assert (RIGHTS, "things-service POST /things") in _found(checks)


def test_service_that_hangs_is_invalid_and_the_run_is_ended(tmp_path: Path) -> None:
    checks = _judged(_fuzzed("hangs", tmp_path, limit_seconds=15.0))

    assert {one.verdict for one in checks} == {Verdict.INVALID}


def test_service_that_is_not_there_is_invalid(tmp_path: Path) -> None:
    with serving("") as url:
        pass
    one = Fuzz(
        f"{url}/openapi.json", url, HERE / "schemathesis.toml", (ALICE, BOB), ALICE, SEED, LIMIT_SECONDS, 1
    )

    checks = _judged(Run(ALICE, SEED, read(tmp_path, asyncio.run(fuzz(one, tmp_path)))))

    assert {one.verdict for one in checks} == {Verdict.INVALID}


def test_evidence_has_a_request_that_shows_the_failure_and_no_token(wrong_type: Run) -> None:
    text = evidence([wrong_type])

    assert "curl -i -X GET" in text
    assert "Bearer alice" not in text
