"""What a run leaves: no secrets in any file, nothing else changed, and no file without a bound."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path

import pytest
from rehearsal.core.events import Event, Notice
from rehearsal.core.redaction import HIDDEN
from rehearsal.stages import run_folder
from rehearsal.stages.artefacts import Secrets, clean_left, keep_end, leave_out

VALUE = "Zq7-drawn-and-long-enough"


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    """Return what knows one drawn value."""
    state = tmp_path / "state"
    state.mkdir()
    _keep(state, {"redis_password": VALUE})
    return Secrets(state)


def _keep(state: Path, content: object) -> None:
    part = state / "part"
    part.write_text(json.dumps(content), encoding="utf-8")
    part.replace(state / "credentials.json")


def _file(root: Path, name: str, content: bytes) -> Path:
    path = root / "run" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "name",
    [
        "deploy/tilt.log",
        "deploy/tilt-snapshot.json",
        "deploy/order-service.txt",
        "contract/new/fuzz.json",
        "report.html",
    ],
)
def test_no_file_of_a_run_is_forgotten(
    tmp_path: Path, secrets: Secrets, name: str, events: list[Event]
) -> None:
    path = _file(tmp_path, name, f"requirepass: {VALUE}, {b64encode(VALUE.encode()).decode()}".encode())

    assert secrets.clean(tmp_path / "run", events.append)
    assert VALUE not in path.read_text(encoding="utf-8")
    assert b64encode(VALUE.encode()).decode()[:30] not in path.read_text(encoding="utf-8")


def test_lines_of_json_stay_lines_of_json(tmp_path: Path, secrets: Secrets, events: list[Event]) -> None:
    line = json.dumps({"message": f'password="{VALUE}"', "n": 1})
    path = _file(tmp_path, "chaos/history.jsonl", f"{line}\n".encode() * 20_000)
    secrets.clean(tmp_path / "run", events.append)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert {json.loads(one)["message"] for one in lines} == {f'password="{HIDDEN}"'}
    assert len(lines) == 20_000


def test_secret_is_seen_wherever_a_file_is_cut_for_reading(
    tmp_path: Path, secrets: Secrets, events: list[Event]
) -> None:
    path = _file(tmp_path, "a.log", ("x" * ((1 << 20) - 5) + VALUE + "\nafter").encode())
    secrets.clean(tmp_path / "run", events.append)

    assert path.read_text(encoding="utf-8").endswith(f"x{HIDDEN}\nafter")


@pytest.mark.parametrize(
    "content", [b"\xff\xfe no text of ours\r\nand\rmore", b"PNG\0" + VALUE.encode(), b"", b"usual\n"]
)
def test_what_has_no_secret_is_left_alone(
    tmp_path: Path, secrets: Secrets, content: bytes, events: list[Event]
) -> None:
    path = _file(tmp_path, "file", content)
    before = path.stat()
    secrets.clean(tmp_path / "run", events.append)

    assert (path.read_bytes(), path.stat().st_ino) == (content, before.st_ino)


def test_bytes_around_a_secret_stay(tmp_path: Path, secrets: Secrets, events: list[Event]) -> None:
    path = _file(tmp_path, "file", b"\xff " + VALUE.encode() + b"\r\n\xe9")
    secrets.clean(tmp_path / "run", events.append)

    assert path.read_bytes() == b"\xff " + HIDDEN.encode() + b"\r\n\xe9"


def test_link_out_of_the_folder_is_not_followed(
    tmp_path: Path, secrets: Secrets, events: list[Event]
) -> None:
    outside = tmp_path / "outside"
    outside.write_text(VALUE, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "link").symlink_to(outside)
    secrets.clean(tmp_path / "run", events.append)

    assert outside.read_text(encoding="utf-8") == VALUE


def test_permissions_stay(tmp_path: Path, secrets: Secrets, events: list[Event]) -> None:
    path = _file(tmp_path, "file", VALUE.encode())
    path.chmod(0o640)
    secrets.clean(tmp_path / "run", events.append)

    assert path.stat().st_mode & 0o777 == 0o640


def test_part_of_a_cleaning_that_was_killed_does_not_stay(
    tmp_path: Path, secrets: Secrets, events: list[Event]
) -> None:
    part = _file(tmp_path, "file.redacted.part", VALUE.encode())
    secrets.clean(tmp_path / "run", events.append)

    assert not part.exists()


def test_file_that_cannot_be_cleaned_is_said_and_its_run_stays_marked(
    tmp_path: Path, secrets: Secrets, events: list[Event]
) -> None:
    folder = run_folder.create(tmp_path, "abcdef1")
    (folder / "first.log").write_text(VALUE, encoding="utf-8")
    (folder / "first.log.redacted.part").mkdir()  # in its way
    (folder / "second.log").write_text(VALUE, encoding="utf-8")
    secrets.clean_run(folder, events.append)

    assert any(isinstance(one, Notice) and "first.log" in one.message for one in events)
    assert (folder / "second.log").read_text(encoding="utf-8") == HIDDEN
    assert run_folder.marked(tmp_path) == [folder]


def test_credentials_that_are_made_while_it_runs_are_known(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    secrets = Secrets(state)
    assert secrets(VALUE) == VALUE

    _keep(state, {"redis_password": VALUE})
    assert secrets(VALUE) == HIDDEN


def test_value_that_was_replaced_is_still_hidden(secrets: Secrets) -> None:
    assert secrets(VALUE) == HIDDEN
    _keep(secrets.state, {"redis_password": "another-drawn-value"})

    assert secrets(f"{VALUE} another-drawn-value") == f"{HIDDEN} {HIDDEN}"


@pytest.mark.parametrize("content", [[], "{"])
def test_damaged_credentials_do_not_end_a_run(secrets: Secrets, content: object) -> None:
    _keep(secrets.state, content)

    assert secrets("password=geheim") == f"password={HIDDEN}"


def test_run_that_cannot_be_cleaned_is_not_said_to_be(
    tmp_path: Path, secrets: Secrets, events: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path, hide: Secrets) -> None:
        raise PermissionError(13, "Permission denied")

    run_folder.create(tmp_path, "abcdef1")
    monkeypatch.setattr("rehearsal.stages.artefacts._clean", refused)

    assert clean_left(tmp_path, secrets, events.append) == []
    assert len(run_folder.marked(tmp_path)) == 1


def test_run_that_was_killed_is_cleaned_by_the_next_one(
    tmp_path: Path, secrets: Secrets, events: list[Event]
) -> None:
    folder = run_folder.create(tmp_path, "abcdef1")
    (folder / "tilt.log").write_text(VALUE, encoding="utf-8")

    assert clean_left(tmp_path, secrets, events.append) == [folder]
    assert (folder / "tilt.log").read_text(encoding="utf-8") == HIDDEN
    assert clean_left(tmp_path, secrets, events.append) == []


def test_log_that_is_too_long_keeps_its_end_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "tilt.log"
    path.write_text("".join(f"line {number}\n" for number in range(1000)), encoding="utf-8")
    size = path.stat().st_size
    keep_end(path, 100)

    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert f"of {size} bytes were left out" in first
    assert lines == [f"line {number}" for number in range(1000 - len(lines), 1000)]
    assert len(lines) >= 10


def test_log_within_its_bound_stays(tmp_path: Path) -> None:
    path = tmp_path / "tilt.log"
    path.write_bytes(b"a\nb\n")
    keep_end(path, 4)
    keep_end(tmp_path / "none.log", 4)

    assert path.read_bytes() == b"a\nb\n"


def test_snapshot_that_is_too_large_is_left_out_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "tilt-snapshot.json"
    path.write_bytes(b"{" + b" " * 100 + b"}")
    leave_out(path, 50)

    assert [one.name for one in tmp_path.iterdir()] == ["tilt-snapshot.json.left-out.txt"]
    assert "102 bytes" in (tmp_path / "tilt-snapshot.json.left-out.txt").read_text(encoding="utf-8")


def test_snapshot_within_its_bound_stays(tmp_path: Path) -> None:
    path = tmp_path / "tilt-snapshot.json"
    path.write_bytes(b"{}")
    leave_out(path, 2)
    leave_out(tmp_path / "none.json", 2)

    assert [one.name for one in tmp_path.iterdir()] == ["tilt-snapshot.json"]
