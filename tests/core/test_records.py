"""Logs of records: nothing that was written is lost, and what was cut off stands in nobody's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.core.records import append, read


def test_records_come_back_with_their_lines(tmp_path: Path) -> None:
    log = tmp_path / "deep" / "log.ndjson"
    append(log, {"name": "one"})
    append(log, {"name": "zwölf"})

    assert read(log) == [(1, {"name": "one"}), (2, {"name": "zwölf"})]


def test_log_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert read(tmp_path / "log.ndjson") == []


def test_record_after_one_that_was_cut_off_is_whole(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text('{"name": "o', encoding="utf-8")
    append(log, {"name": "two"})

    assert [record for _, record in read(log)] == [{"name": "two"}]


def test_line_that_is_none_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "log.ndjson"
    log.write_text("nonsense\n", encoding="utf-8")

    with pytest.raises(HarnessError, match="line 1"):
        read(log)
