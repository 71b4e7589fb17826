"""Every form of the report: what is read in it, and that its bytes are always the same."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.core.events import CheckFinished
from rehearsal.report import writing
from rehearsal.report.console import render_console
from rehearsal.report.html import render_html
from rehearsal.report.junit import render_junit
from rehearsal.report.markdown import render_markdown
from rehearsal.report.model import Report
from rehearsal.report.sarif import render_sarif
from syrupy.assertion import SnapshotAssertion

from tests.report.conftest import EVENTS, LOST, of_events, write_events

_PAGE_BYTES = 300_000
_SUMMARY_BYTES = 60_000


class _Page(HTMLParser):
    """What a page consists of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take a tag."""
        self.tags.append(tag)
        self.attributes += attrs


def test_console_block(report: Report, snapshot: SnapshotAssertion) -> None:
    assert render_console(report, "runs/x/report.html") == snapshot


def test_markdown(report: Report, snapshot: SnapshotAssertion) -> None:
    assert render_markdown(report) == snapshot


def test_html(report: Report, snapshot: SnapshotAssertion) -> None:
    assert render_html(report) == snapshot


def test_junit(report: Report, snapshot: SnapshotAssertion) -> None:
    assert render_junit(report) == snapshot


def test_sarif(report: Report, snapshot: SnapshotAssertion) -> None:
    assert render_sarif(report) == snapshot


def test_page_can_run_nothing_and_load_nothing(report: Report) -> None:
    page = _Page(render_html(report))

    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name in ("src", "style") or name.startswith("on")]
    assert all("://" not in (value or "") for name, value in page.attributes if name == "href")


def test_what_a_service_said_is_text_on_the_page(report: Report) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in render_html(report)


def test_verdicts_differ_by_word(report: Report) -> None:
    page = render_html(report)

    assert all(f" {word}</span>" in page for word in ("FAIL", "PASS", "INVALID", "NOT RUN"))


def test_page_of_many_findings_stays_small() -> None:
    page = render_html(_of_many_findings(300))

    assert len(page.encode()) < _PAGE_BYTES


def test_summary_of_many_findings_stays_below_the_limit_of_a_job() -> None:
    assert len(render_markdown(_of_many_findings(300)).encode()) < _SUMMARY_BYTES


def test_console_shows_a_screenful_of_findings() -> None:
    assert "... and 290 more" in render_console(_of_many_findings(300), "page")


def test_check_that_could_not_look_is_an_error_in_junit(report: Report) -> None:
    root = ElementTree.fromstring(render_junit(report))  # noqa: S314 - our own document

    assert [case.get("classname") for case in root.iter("testcase") if case.find("error") is not None] == [
        "chaos.traffic"
    ]


def test_junit_survives_what_xml_cannot_hold() -> None:
    shown = of_events(_finding("a\x00b"))

    ElementTree.fromstring(render_junit(shown).encode())  # noqa: S314 - our own document


def test_finding_keeps_its_fingerprint_when_its_sentence_changes() -> None:
    first, second = (
        json.loads(render_sarif(of_events(_finding(said))))["runs"][0]["results"][0]
        for said in ("3 are lost", "4 are lost")
    )

    assert first["partialFingerprints"] == second["partialFingerprints"]


def test_report_is_written_in_every_form(run: Path) -> None:
    writing.write(run)

    forms = {writing.SOURCE, writing.PAGE, *writing.FORMS}
    assert {path.name for path in run.iterdir()} == {"events.ndjson", *forms}


def test_rendering_again_gives_the_same_bytes(run: Path) -> None:
    writing.write(run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    writing.render(run, writing.read(run))

    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_killed_run_has_a_report_when_somebody_asks(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", EVENTS[:6])

    assert not writing.read(run).complete
    assert (run / writing.PAGE).exists()


def test_report_of_another_version_is_refused(run: Path) -> None:
    writing.write(run)
    source = run / writing.SOURCE
    source.write_text(
        source.read_text(encoding="utf-8").replace('"schema_version": 1', '"schema_version": 2')
    )

    with pytest.raises(HarnessError, match="no report of this version"):
        writing.read(run)


def test_committed_schema_is_that_of_the_model() -> None:
    generated = Report.model_json_schema(mode="serialization")
    committed = json.loads(writing.SCHEMA.read_text(encoding="utf-8"))

    assert {key: value for key, value in committed.items() if not key.startswith("$schema")} == {
        "$id": "report.v1",
        **generated,
    }


def test_report_that_breaks_its_schema_is_not_written(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schema = run / "schema.json"
    schema.write_text('{"required": ["lacking"]}', encoding="utf-8")
    monkeypatch.setattr(writing, "SCHEMA", schema)

    with pytest.raises(HarnessError, match="schema"):
        writing.write(run)
    assert not (run / writing.SOURCE).exists()


def test_schema_refuses_what_the_model_does_not_know(run: Path) -> None:
    schema = json.loads(writing.SCHEMA.read_text(encoding="utf-8"))
    content = writing.write(run).model_dump(mode="json")

    assert not jsonschema_rs.is_valid(schema, {**content, "unknown": 1})


def _finding(sentence: str, subject: str = "order-service") -> CheckFinished:
    return CheckFinished("chaos", LOST.failed(subject, sentence, expected="0", observed="3"))


def _of_many_findings(count: int) -> Report:
    return of_events(*(_finding("an order is lost " * 5, f"flow {number}") for number in range(count)))
