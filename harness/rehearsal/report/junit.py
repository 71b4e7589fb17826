"""JUnit XML: a suite for each stage, a case for each check; what could not look is an error, never a pass."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from rehearsal.core.verdicts import Ending, Verdict
from rehearsal.report.model import CheckReport, Report, StageReport

# What XML 1.0 cannot hold, in whatever form.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render_junit(report: Report) -> str:
    """Return the document."""
    root = ElementTree.Element("testsuites", name="rehearsal", time=f"{report.run.seconds:.3f}")
    for stage in report.stages:
        _suite(root, stage, [one for one in report.checks if one.stage == stage.name])
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, stage: StageReport, checks: list[CheckReport]) -> None:
    suite = ElementTree.SubElement(root, "testsuite", name=stage.name, time=f"{stage.seconds:.3f}")
    for check in checks:
        _case(suite, check)
    # A stage that ended otherwise than by its checks is a case of its own: none of them says so.
    verdicts = {check.verdict.value for check in checks}
    if stage.ending is not Ending.PASS and stage.ending.value not in verdicts:
        case = ElementTree.SubElement(suite, "testcase", classname=stage.name, name="stage")
        kind = "skipped" if stage.ending is Ending.NOT_RUN else "error"
        ElementTree.SubElement(case, kind, message=_clean(f"{stage.ending}: {stage.reason}"))
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
