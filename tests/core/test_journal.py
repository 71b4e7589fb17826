"""The journal: what was said is on disk, and what a killed writer leaves can be read."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rehearsal.core.errors import HarnessError
from rehearsal.core.events import Level, Notice, StepStarted
from rehearsal.core.journal import Journal, is_written, read


def _journal(path: Path, *messages: str) -> Path:
    with Journal(path) as journal:
        for message in messages:
            journal(Notice(Level.INFO, message))
    return path


def _messages(path: Path) -> list[object]:
    return [one["message"] for one in read(path)]


def test_events_come_back_in_order(tmp_path: Path) -> None:
    path = _journal(tmp_path / "runs" / "events.ndjson", "first", "zweite ✓", "line\nbreak")

    assert _messages(path) == ["first", "zweite ✓", "line\nbreak"]


def test_each_record_has_its_time_in_utc(tmp_path: Path) -> None:
    (record,) = read(_journal(tmp_path / "events.ndjson", "one"))

    assert datetime.fromisoformat(str(record["at"])).utcoffset() == timedelta(0)


def test_journal_is_written_as_long_as_its_writer_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    assert not is_written(path)
    with Journal(path):
        assert [is_written(path), is_written(path)] == [True, True]
    assert not is_written(path)


def test_second_writer_appends(tmp_path: Path) -> None:
    path = _journal(tmp_path / "events.ndjson", "one")

    assert _messages(_journal(path, "two")) == ["one", "two"]


def test_event_is_on_disk_when_the_call_returns(tmp_path: Path) -> None:
    with Journal(tmp_path / "events.ndjson") as journal:
        journal(StepStarted("cluster"))

        assert [one["name"] for one in read(journal.path)] == ["cluster"]


def test_secret_is_on_no_disk(tmp_path: Path) -> None:
    path = _journal(tmp_path / "events.ndjson", 'redis://:geheim@redis said "password=geheim\\n"')

    assert "geheim" not in path.read_text(encoding="utf-8")
    assert _messages(path) == ['redis://[hidden]@redis said "password=[hidden]\\n"']


def test_what_else_is_secret_is_for_its_owner_to_say(tmp_path: Path) -> None:
    with Journal(tmp_path / "events.ndjson", lambda text: text.replace("drawn", "[hidden]")) as journal:
        journal(Notice(Level.INFO, "drawn"))

    assert _messages(journal.path) == ["[hidden]"]


def test_file_name_that_is_not_utf_8_can_be_told(tmp_path: Path) -> None:
    name = os.fsdecode(b"cache/\xff.tar")

    assert _messages(_journal(tmp_path / "events.ndjson", name)) == [name]


@given(cut=st.data())
def test_journal_that_was_cut_anywhere_gives_all_whole_records(
    tmp_path_factory: pytest.TempPathFactory, cut: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    content = _journal(folder / "events.ndjson", "one", "zwölf", "✓ drei").read_bytes()
    length = cut.draw(st.integers(min_value=0, max_value=len(content)))
    (folder / "cut.ndjson").write_bytes(content[:length])

    whole = content[:length].count(b"\n")

    assert _messages(folder / "cut.ndjson")[:whole] == ["one", "zwölf", "✓ drei"][:whole]


@pytest.mark.parametrize("broken", [b"{'at': 1}\n", b"\n", b"[]\n", b"7\n", b'{"at": "\xff"}\n'])
def test_broken_line_is_named(tmp_path: Path, broken: bytes) -> None:
    path = _journal(tmp_path / "events.ndjson", "one")
    with path.open("ab") as file:
        file.write(broken)
    _journal(path, "three")

    with pytest.raises(HarnessError, match="line 2 is not a record") as caught:
        _messages(path)

    assert caught.value.code == "JOURNAL_BROKEN"


def test_killed_writer_leaves_all_that_it_said(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    program = (
        "import os, signal, sys; from pathlib import Path;"
        "from rehearsal.core.events import Level, Notice; from rehearsal.core.journal import Journal;"
        "journal = Journal(Path(sys.argv[1]));"
        "[journal(Notice(Level.INFO, str(n))) for n in range(50)];"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )

    ended = subprocess.run([sys.executable, "-c", program, str(path)], check=False)

    assert ended.returncode == -signal.SIGKILL
    assert _messages(path) == [str(number) for number in range(50)]


def test_each_record_is_one_line(tmp_path: Path) -> None:
    path = _journal(tmp_path / "events.ndjson", "a\u2028b\nc\r\nd", "second")

    assert [json.loads(line)["message"] for line in path.read_bytes().split(b"\n")[:-1]] == [
        "a\u2028b\nc\r\nd",
        "second",
    ]
