"""Every form of the report: what is read in it, and that its bytes are always the same."""

from __future__ import annotations

import json
import os
import random
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import jsonschema_rs
import pytest
from rehearsal.core.errors import HarnessError
from rehearsal.core.events import (
    CheckFinished,
    Event,
    FaultMade,
    Level,
    Notice,
    NotLookedAt,
    RunFinished,
    StageFinished,
    StageStarted,
)
from rehearsal.core.verdicts import Ending
from rehearsal.report import writing
from rehearsal.report.console import render_console
from rehearsal.report.html import render_html
from rehearsal.report.junit import render_junit
from rehearsal.report.markdown import render_markdown
from rehearsal.report.model import Report
from rehearsal.report.sarif import render_sarif
from rehearsal.report.series import Point, Replicas
from rehearsal.stages import kinds
from syrupy.assertion import SnapshotAssertion

from tests.report.conftest import EVENTS, LOST, of_events, write_events

_PAGE_BYTES = 300_000
_OLD = Path(__file__).with_name("reports")
_SECTIONS = ("stages", "timeline", "autoscaling", "findings", "contracts", "faults", "score", "not-looked-at",
             "checks", "run", "notices")  # fmt: skip
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


def test_page_of_many_long_findings_stays_small_and_says_where_the_rest_is() -> None:
    report = of_events(
        StageStarted("chaos", "Break.", 1.0),
        *(_finding(f"{number} orders are <lost> & gone " * 30, f"flow {number}") for number in range(1000)),
    )
    page = render_html(report)

    assert len(page.encode()) < _PAGE_BYTES
    shown = page.count('<article class="finding fail">')
    assert shown >= 20
    assert f'And {1000 - shown} more, in <a href="report.json">report.json</a>.' in page


def test_page_on_which_everything_is_long_stays_small() -> None:
    page = render_html(_monstrous(), *_long_series())

    assert len(page.encode()) < _PAGE_BYTES
    assert [name for name in _SECTIONS if f'id="{name}"' not in page] == []


def test_page_of_a_usual_run_leaves_nothing_out() -> None:
    report = of_events(
        StageStarted("chaos", "Break.", 1.0),
        *(CheckFinished("chaos", LOST.passed(f"flow {number}", "no order is lost")) for number in range(250)),
    )

    assert 'class="more"' not in render_html(report)


def test_long_text_is_cut_on_the_page_and_whole_in_its_source(run: Path) -> None:
    report = of_events(_finding("an order is lost, " * 100 + "and that is all"))

    assert "and that is all" not in render_html(report)
    assert "and that is all" in writing.source_text(report)


def test_names_of_what_was_not_looked_at_are_on_top(report: Report) -> None:
    page = render_html(report)
    top = page[page.index("<header") : page.index("</header>")]

    assert "stage load, chaos.traffic of payment-service, what needs netem" in top


def test_top_names_a_few_of_many_that_were_not_looked_at() -> None:
    page = render_html(of_events(*(NotLookedAt(f"thing {number}", "no time") for number in range(40))))
    top = page[page.index("<header") : page.index("</header>")]

    assert "thing 5, and 34 more" in top
    assert "thing 6" not in top


def test_what_others_said_begins_no_line_of_the_summary() -> None:
    said = "evil\n\n# PASS: all is well\n<img> &lt; `a`"
    told = LOST.failed(said, said, expected=said, observed=said, reproduce=said)
    report = of_events(
        StageStarted("chaos", "Break.", 1.0),
        NotLookedAt(said, said),
        CheckFinished("chaos", told),
        StageFinished("chaos", Ending.ABORTED, 1.0, said),
        RunFinished(Ending.ABORTED, 6, 1.0),
    )
    lines = render_markdown(report).splitlines()

    assert [line for line in lines if line.startswith("#")][1:] == [
        "## Findings",
        "## Stages",
        "## Not looked at",
    ]
    assert "  `` evil  # PASS: all is well <img> &lt; `a` ``" in lines
    assert all("\\&lt;" in line for line in lines if "&lt;" in line and "``" not in line)


def test_summary_of_many_findings_stays_below_the_limit_of_a_job() -> None:
    assert len(render_markdown(_of_many_findings(300)).encode()) < _SUMMARY_BYTES


def test_what_a_service_said_is_not_obeyed_by_a_terminal() -> None:
    said = _finding("\x1b[2Klost\u202e\nPASS: All 4 checks hold.", "of \x9b8m")
    text = render_console(of_events(said, NotLookedAt("\x1bc", "why")), "page")

    assert not {"\x1b", "\x9b", "\u202e"} & set(text)
    assert "\nPASS" not in text


def test_console_shows_a_screenful_of_findings() -> None:
    assert "... and 290 more" in render_console(_of_many_findings(300), "page")


def test_check_that_could_not_look_is_an_error_in_junit(report: Report) -> None:
    root = ElementTree.fromstring(render_junit(report))  # noqa: S314 - our own document

    assert [case.get("classname") for case in root.iter("testcase") if case.find("error") is not None] == [
        "chaos.traffic"
    ]


@pytest.mark.parametrize(
    ("events", "verdict"),
    [
        ((RunFinished(Ending.ERROR, 5, 2.0),), "ERROR"),  # something could not be undone
        ((RunFinished(Ending.INTERRUPTED, 130, 2.0),), "INTERRUPTED"),
        ((), "INTERRUPTED"),  # killed between two stages
    ],
    ids=["not undone", "interrupted", "killed"],
)
def test_run_that_is_no_pass_is_none_in_junit_although_every_stage_is(
    events: tuple[Event, ...], verdict: str
) -> None:
    report = of_events(
        StageStarted("load", "Load.", 1.0),
        CheckFinished("load", LOST.passed("orders", "no order is lost")),
        StageFinished("load", Ending.PASS, 1.0),
        *events,
    )
    root = ElementTree.fromstring(render_junit(report))  # noqa: S314 - our own document

    assert [one.get("message", "").partition(":")[0] for one in root.iter("error")] == [verdict]
    assert [suite.get("errors") for suite in root] == ["0", "1"]


def test_junit_says_the_verdict_of_a_usual_run_once(report: Report) -> None:
    root = ElementTree.fromstring(render_junit(report))  # noqa: S314 - our own document

    assert [suite.get("name") for suite in root] == [stage.name for stage in report.stages]


def test_junit_survives_what_xml_cannot_hold() -> None:
    shown = of_events(_finding("a\x00b"))

    ElementTree.fromstring(render_junit(shown).encode())  # noqa: S314 - our own document


def test_finding_keeps_its_fingerprint_when_its_sentence_changes() -> None:
    first, second = (
        json.loads(render_sarif(of_events(_finding(said))))["runs"][0]["results"][0]
        for said in ("3 are lost", "4 are lost")
    )

    assert first["partialFingerprints"] == second["partialFingerprints"]


def test_two_findings_of_one_check_and_subject_are_two_alerts() -> None:
    report = of_events(_finding("3 are lost"), _finding("3 are doubled"))
    results = json.loads(render_sarif(report))["runs"][0]["results"]

    assert len({one["partialFingerprints"]["check/v1"] for one in results}) == 2


@pytest.mark.parametrize(
    ("end", "is_whole"),
    [
        ((StageFinished("chaos", Ending.PASS, 1.0), RunFinished(Ending.PASS, 0, 1.0)), True),
        (
            (
                CheckFinished("chaos", LOST.failed("a", "b", expected="", observed="")),
                StageFinished("chaos", Ending.FAIL, 1.0),
                RunFinished(Ending.FAIL, 1, 1.0),
            ),
            True,
        ),
        ((), False),
        ((StageFinished("chaos", Ending.PASS, 1.0),), False),
        ((StageFinished("chaos", Ending.NOT_RUN, 0.0, "no"), RunFinished(Ending.PASS, 0, 1.0)), False),
        ((StageFinished("chaos", Ending.ENVIRONMENT, 1.0, "no"), RunFinished(Ending.FAIL, 1, 1.0)), False),
        ((StageFinished("chaos", Ending.PASS, 1.0), RunFinished(Ending.INTERRUPTED, 130, 1.0)), False),
    ],
    ids=["well", "found", "killed in a stage", "killed after it", "not run", "no cluster", "interrupted"],
)
def test_only_a_run_that_looked_everywhere_may_close_alerts(end: tuple[Event, ...], is_whole: bool) -> None:
    report = of_events(StageStarted("chaos", "Break.", 1.0), *end)
    (invocation,) = json.loads(render_sarif(report))["runs"][0]["invocations"]

    assert invocation["executionSuccessful"] is is_whole
    assert ("toolExecutionNotifications" in invocation) is not is_whole


def test_place_in_sarif_is_an_address() -> None:
    told = LOST.failed("a", "b", expected="", observed="", source="contract-tests/my file#1.toml")
    (result,) = json.loads(render_sarif(of_events(CheckFinished("chaos", told))))["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]

    assert place == "contract-tests/my%20file%231.toml"


def test_report_is_written_in_every_form(run: Path) -> None:
    writing.write(run)

    forms = {writing.SOURCE, writing.PAGE, *writing.FORMS}
    assert {path.name for path in run.iterdir()} == {"events.ndjson", *forms}


def test_name_that_is_not_utf_8_is_in_every_form(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.log")
    run = write_events(
        tmp_path / "run",
        (
            *EVENTS[:5],
            Notice(Level.WARNING, f"{name} was left out"),
            _finding(f"{name} is lost", name),
            StageFinished("chaos", Ending.FAIL, 1.0, name, (name,)),
            *EVENTS[-1:],
        ),
    )
    writing.write(run)

    for form in (writing.SOURCE, writing.PAGE, *writing.FORMS):
        assert "caf" in (run / form).read_text(encoding="utf-8")


def test_rendering_again_gives_the_same_bytes(run: Path) -> None:
    writing.write(run)
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    writing.render(run, writing.read(run))

    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_killed_run_has_a_report_when_somebody_asks(tmp_path: Path) -> None:
    run = write_events(tmp_path / "run", EVENTS[:6])

    assert not writing.read(run).complete
    assert (run / writing.PAGE).exists()


@pytest.mark.parametrize("old", sorted(_OLD.glob("*.json")), ids=lambda path: path.stem)
def test_report_that_was_written_before_is_rendered(old: Path, tmp_path: Path) -> None:
    (tmp_path / writing.SOURCE).write_bytes(old.read_bytes())
    report = writing.read(tmp_path)
    writing.render(tmp_path, report)

    assert "1 of 2 checks does not hold." in (tmp_path / writing.PAGE).read_text(encoding="utf-8")
    assert "readiness" not in render_console(report, "page")
    assert {path.name for path in tmp_path.iterdir()} == {writing.SOURCE, writing.PAGE, *writing.FORMS}


def test_schema_allows_what_was_written_before() -> None:
    schema = json.loads(writing.SCHEMA.read_text(encoding="utf-8"))
    (old,) = _OLD.glob("*.json")

    jsonschema_rs.validate(schema, json.loads(old.read_text(encoding="utf-8")))


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


def _monstrous() -> Report:
    """Return a report in which everything that can be long is."""
    long = '"<&>" ' * 300
    services = [f"{letter}-service" for letter in "abcdef"]
    events: list[Event] = []
    for stage in ("deploy", "contract", "load", "chaos"):
        events += [StageStarted(stage, long, 1.0)]
        own = (kind for kind in kinds.ALL if kind.id.startswith(f"{stage}."))
        for number, (kind, service) in enumerate(product(own, services)):
            failed = kind.failed(
                f"{service} of x{number}", long, expected=long, observed=long, reproduce=long
            )
            events += [CheckFinished(stage, failed), CheckFinished(stage, kind.invalid(service, long))]
        artefacts = tuple(f"{stage}/{number}{long}" for number in range(50))
        events += [StageFinished(stage, Ending.FAIL, 1.0, long, artefacts)]
    for number in range(200):
        at = 1000.0 + number
        events += [FaultMade(f"fault {number} {long}", at, at + 60), NotLookedAt(long, long)]
        events += [Notice(Level.WARNING, long)]
        events += [
            CheckFinished("chaos", LOST.failed(f"fault {number} {long}", long, expected="", observed=""))
        ]
    return of_events(*events)


def _long_series() -> tuple[list[Point], list[Replicas]]:
    """Return two hours in which no second is as the one before."""
    draw = random.Random(1)  # noqa: S311 - a drawing, no secret
    points = [
        Point(1000 + t, "load", draw.randrange(99), 0, draw.randrange(9999), draw.random(), draw.random())
        for t in range(7200)
    ]
    looks = [
        Replicas(1000.0 + t, f"{number}-service", 2, 20, 9, t % 20, t % 7, {"cpu": t % 99}, {"cpu": 70})
        for number in range(6)
        for t in range(1200)
    ]
    return points, looks


def _of_many_findings(count: int) -> Report:
    return of_events(*(_finding("an order is lost " * 5, f"flow {number}") for number in range(count)))
