"""PostgreSQL's archive command, word for word from the manifest, by a shell, in a folder of the test's own.

A segment is offered again and again until the command succeeds: what a crash leaves behind must not stop it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

MANIFEST = Path(__file__).parents[2] / "k8s" / "overlays" / "local" / "managed" / "postgres.yaml"
SEGMENT = "000000010000000000000007"
_SHELL_SECONDS = 30.0
_DAY_SECONDS = 24 * 60 * 60


def command() -> str:
    """Return the command as PostgreSQL is given it."""
    objects = yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8"))
    (server,) = (one for one in objects if one["kind"] == "StatefulSet")
    arguments = server["spec"]["template"]["spec"]["containers"][0]["args"]
    (setting,) = (one for one in arguments if one.startswith("archive_command="))
    return str(setting).removeprefix("archive_command=")


@dataclass(frozen=True, slots=True)
class Server:
    """A data folder with one segment, an archive, and programs that may be broken."""

    folder: Path

    @property
    def archive(self) -> Path:
        return self.folder / "archive"

    @property
    def archived(self) -> Path:
        return self.archive / SEGMENT

    def write(self, content: bytes) -> None:
        """Have the segment hold something."""
        (self.folder / "pg_wal" / SEGMENT).write_bytes(content)

    def break_program(self, name: str) -> None:
        """Let a program fail."""
        program = self.folder / "bin" / name
        program.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
        program.chmod(0o755)

    def archives(self) -> bool:
        """Run the command as the archiver does, in the data folder; return whether it succeeded."""
        text = command().replace("/archive", shlex.quote(str(self.archive)))
        text = text.replace("%p", f"pg_wal/{SEGMENT}").replace("%f", SEGMENT)
        assert "%" not in text
        env = {"PATH": f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}
        ended = subprocess.run(
            ["/bin/sh", "-c", text],
            cwd=self.folder,
            env=env,
            capture_output=True,
            check=False,
            timeout=_SHELL_SECONDS,
        )
        return ended.returncode == 0


@pytest.fixture
def server(tmp_path: Path) -> Server:
    for name in ("pg_wal", "archive", "bin"):
        (tmp_path / name).mkdir()
    made = Server(tmp_path)
    made.write(b"segment 7" * 1000)
    return made


def test_a_segment_is_archived_under_its_name_and_nothing_else_is_left(server: Server) -> None:
    assert server.archives()
    assert server.archived.read_bytes() == b"segment 7" * 1000
    assert list(server.archive.iterdir()) == [server.archived]


def test_a_segment_that_is_there_already_is_archived(server: Server) -> None:
    # The server was killed before it noted that.
    assert server.archives()
    assert server.archives()


def test_another_content_under_that_name_is_refused_and_kept(server: Server) -> None:
    server.archived.write_bytes(b"of another cluster")
    assert not server.archives()
    assert server.archived.read_bytes() == b"of another cluster"


def test_what_was_half_written_is_written_again(server: Server) -> None:
    server.archived.with_suffix(".part").write_bytes(b"segm")
    assert server.archives()
    assert list(server.archive.iterdir()) == [server.archived]


@pytest.mark.parametrize("program", ["cp", "sync", "mv", "cmp"])
def test_what_was_not_archived_for_sure_is_offered_again(server: Server, program: str) -> None:
    server.break_program(program)
    assert not server.archives()
    (server.folder / "bin" / program).unlink()
    assert server.archives()


def test_half_a_segment_never_has_its_name(server: Server) -> None:
    server.break_program("sync")
    server.archives()
    assert not server.archived.exists()


def test_old_segments_that_cannot_be_removed_stop_nothing(server: Server) -> None:
    server.break_program("find")
    assert server.archives()
    assert server.archives()


def test_a_failure_is_one_although_old_segments_were_removed(server: Server) -> None:
    server.break_program("cp")
    assert not server.archives()


def test_segments_go_after_a_day_and_no_sooner(server: Server) -> None:
    now = server.folder.stat().st_mtime
    for name, age in (("older", _DAY_SECONDS + 120), ("younger", _DAY_SECONDS - 120)):
        (server.archive / name).write_bytes(b"x")
        os.utime(server.archive / name, (now - age, now - age))
    server.archives()
    assert {one.name for one in server.archive.iterdir()} == {"younger", SEGMENT}
