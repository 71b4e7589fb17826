"""JUnit XML: a suite for each stage, a case for each check; what could not look is an error, never a pass.

Whoever reads only this has to see the run's verdict: what no stage says of it is a case of its own.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.model import CheckReport, Report, StageReport
from rehearsal.report.phrasing import headline

# What XML 1.0 cannot hold, in whatever form.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """Return the document."""
    root = ElementTree.Element("testsuites", name="rehearsal", time=f"{report.run.seconds:.3f}")
    for stage in report.stages:
        _suite(root, stage, [one for one in report.checks if one.stage == stage.name])
    told = {stage.ending for stage in report.stages} - {Ending.NOT_RUN}
    if report.verdict not in {Ending.PASS, *told}:
        # It was cut off between two stages, something could not be undone, or no stage was run.
        suite = ElementTree.SubElement(root, "testsuite", name="run", time="0.000")
        _problem(suite, "run", "error", f"{report.verdict}: {headline(report)}")
        _count(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, stage: StageReport, checks: list[CheckReport]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=stage.name, time=f"{stage.seconds:.3f}")
    for check in checks:
        _case(suite, check)
    # A stage that ended otherwise than by its checks is a case of its own: none of them says so.
    verdicts = {check.verdict.value for check in checks}
    if stage.ending is not Ending.PASS and stage.ending.value not in verdicts:
        kind = "skipped" if stage.ending is Ending.NOT_RUN else "error"
        _problem(suite, "stage", kind, f"{stage.ending}: {stage.reason}")
    _count(suite)


def _problem(suite: ElementTree.Element, of: str, kind: str, message: str) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=suite.get("name", ""), name=of)
    ElementTree.SubElement(case, kind, message=_clean(message))


def _count(suite: ElementTree.Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))


def _case(suite: ElementTree.Element, check: CheckReport) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=check.id, name=_clean(check.subject))
    if check.expected or check.observed:
        properties = ElementTree.SubElement(case, "properties")
        for name in ("expected", "observed"):
            ElementTree.SubElement(properties, "property", name=name, value=_clean(getattr(check, name)))
    if check.verdict is Verdict.PASS:
        return
    kind = "failure" if check.verdict is Verdict.FAIL else "error"
    problem = ElementTree.SubElement(case, kind, type=check.verdict.value, message=_clean(check.sentence))
    problem.text = _clean(f"reproduce: {check.reproduce}") if check.reproduce else None


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
