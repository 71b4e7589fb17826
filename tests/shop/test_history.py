"""The history: nothing that was written is lost, and nothing that is no entry is read."""

from __future__ import annotations

from pathlib import Path

import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.shop.history import History, read


def _write(path: Path, *operations: str) -> None:
    with History(path) as history:
        for op_id in operations:
            history.append(process="anna", op_id=op_id, f="place_order", type="invoke", value={"lines": []})


def test_entry_is_on_disk_at_once(tmp_path: Path) -> None:
    with History(tmp_path / "h.jsonl") as history:
        history.append(process="anna", op_id="1", f="place_order", type="invoke")

        assert [one.op_id for one in read(history.path)] == ["1"]


def test_entries_are_read_in_their_order(tmp_path: Path) -> None:
    _write(tmp_path / "h.jsonl", "1", "2", "3")

    assert [one.op_id for one in read(tmp_path / "h.jsonl")] == ["1", "2", "3"]


def test_history_is_continued_never_replaced(tmp_path: Path) -> None:
    _write(tmp_path / "h.jsonl", "1")
    _write(tmp_path / "h.jsonl", "2")

    assert [one.op_id for one in read(tmp_path / "h.jsonl")] == ["1", "2"]


def test_fault_that_is_at_work_stands_in_each_entry(tmp_path: Path) -> None:
    with History(tmp_path / "h.jsonl") as history:
        for fault in ("", "kill", ""):
            history.fault_id = fault
            history.append(process="anna", op_id="1", f="place_order", type="invoke")

    assert [one.fault_id for one in read(tmp_path / "h.jsonl")] == ["", "kill", ""]


def test_last_line_of_a_killed_writer_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    _write(path, "1", "2")
    path.write_bytes(path.read_bytes()[:-10])

    assert [one.op_id for one in read(path)] == ["1"]


def test_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    _write(path, "1")
    path.write_text('{"op_id": "0"}\n' + path.read_text(encoding="utf-8"), encoding="utf-8")

    with pytest.raises(HarnessError, match="line 1"):
        list(read(path))
