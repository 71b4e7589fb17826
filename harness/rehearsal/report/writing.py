"""The files of a report: `report.json`, checked against its schema, and every rendered form beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError

from rehearsal.core import journal
from rehearsal.core.errors import HarnessError
from rehearsal.report.building import build
from rehearsal.report.html import render_html
from rehearsal.report.junit import render_junit
from rehearsal.report.markdown import render_markdown
from rehearsal.report.model import Report
from rehearsal.report.sarif import render_sarif
from rehearsal.report.series import read_points, read_replicas

EVENTS = "events.ndjson"
SOURCE = "report.json"
PAGE = "report.html"
SCHEMA = Path(__file__).with_name("report.schema.json")
FORMS: Mapping[str, Callable[[Report], str]] = {
    "summary.md": render_markdown,
    "junit.xml": render_junit,
    "report.sarif": render_sarif,
}


def write(run: Path) -> Report:
    """Build a run's report from its events, write it in every form, and return it."""
    report = build(journal.read(run / EVENTS))
    _replace(run / SOURCE, source_text(report))
    render(run, report)
    return report


def read(run: Path) -> Report:
    """Return a run's report; of one that was cut off, what its events say.

    Raises HarnessError when `report.json` is of another version, or damaged.
    """
    source = run / SOURCE
    if not source.exists():
        return write(run)
    try:
        report = Report.model_validate_json(source.read_text(encoding="utf-8"))
    except (ValidationError, UnicodeDecodeError) as error:
        raise HarnessError(
            "REPORT_UNREADABLE",
            f"{source} is no report of this version: {error}",
            hint="Render it with the version of the project that wrote it.",
        ) from error
    # It may have been asked for while the run went on: what was said since then is in the events alone.
    return report if report.complete or not (run / EVENTS).exists() else write(run)


def is_going_on(run: Path, report: Report) -> bool:
    """Return whether a run without an end is still under way, and not cut off."""
    return not report.complete and journal.is_written(run / EVENTS)


def render(run: Path, report: Report) -> None:
    """Write every rendered form: the same bytes for the same report."""
    _replace(run / PAGE, render_html(report, read_points(run), read_replicas(run)))
    for name, form in FORMS.items():
        _replace(run / name, form(report))


def source_text(report: Report) -> str:
    """Return the text of `report.json`. Raises HarnessError when the schema does not allow it."""
    import jsonschema_rs

    content = report.model_dump(mode="json")
    try:
        jsonschema_rs.validate(json.loads(SCHEMA.read_text(encoding="utf-8")), content)
    except jsonschema_rs.ValidationError as error:
        raise HarnessError(
            "REPORT_INVALID",
            f"the report does not keep to its schema: {error}",
            hint="The schema and the model beside it must change together.",
        ) from error
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _replace(path: Path, text: str) -> None:
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
