"""Known vulnerabilities of the locked Python packages, by pip-audit, as SARIF.

pip-audit calls a package that its source does not know "skipped", and ends with 0. Here that is a check that
could not look. Which advisories there are is left to its source, PyPI.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from rehearsal.core.errors import EnvironmentNotReadyError
from rehearsal.core.processes import run
from rehearsal.core.verdicts import Verdict

_AUDIT_SECONDS = 600.0  # a question per package
_SHOWN_CHARACTERS = 300


class _Vulnerability(BaseModel):
    id: str
    fix_versions: tuple[str, ...] = ()
    description: str = ""


class _Dependency(BaseModel):
    name: str
    version: str = ""
    skip_reason: str | None = None
    vulns: tuple[_Vulnerability, ...] = ()


class _Audit(BaseModel):
    dependencies: tuple[_Dependency, ...] = Field(min_length=1)  # none: it has looked at nothing


@dataclass(frozen=True, slots=True)
class Advisory:
    """A known vulnerability of a locked package."""

    id: str
    package: str
    version: str
    lock: str  # the lock file, from the checkout's root
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Audited:
    """What is known about some lock files."""

    advisories: tuple[Advisory, ...]
    unknown: tuple[str, ...]  # packages about which the source said nothing
    packages: int

    @property
    def verdict(self) -> Verdict:
        """FAIL for any advisory, INVALID when it could not be looked at every package."""
        if self.advisories:
            return Verdict.FAIL
        return Verdict.INVALID if self.unknown else Verdict.PASS


def audit(root: Path, locks: Iterable[Path], program: Path) -> Audited:
    """Ask about every package of some lock files."""
    parts = [parse_audit(_asked(program, lock), lock, root) for lock in locks]
    return Audited(
        tuple(advisory for part in parts for advisory in part.advisories),
        tuple(sorted({name for part in parts for name in part.unknown})),
        sum(part.packages for part in parts),
    )


def parse_audit(text: str, lock: Path, root: Path) -> Audited:
    """Return what pip-audit's JSON says about a lock file."""
    try:
        found = _Audit.model_validate_json(text).dependencies
    except ValidationError as error:
        raise EnvironmentNotReadyError(
            "AUDIT_UNREADABLE",
            f"pip-audit says nothing usable about {lock.name}: {error}",
            hint="Run it by hand.",
        ) from error
    lines = lock.read_text(encoding="utf-8").splitlines()
    name = str(lock.relative_to(root))
    advisories = tuple(
        Advisory(one.id, package.name, package.version, name, _line(lines, package.name), _said(package, one))
        for package in found
        for one in package.vulns
    )
    return Audited(advisories, tuple(one.name for one in found if one.skip_reason), len(found))


def render(audited: Audited) -> str:
    """Return the advisories as SARIF 2.1.0."""
    rules = {one.id: {"id": one.id} for one in audited.advisories}
    driver = {
        "name": "pip-audit",
        "informationUri": "https://pypi.org/project/pip-audit/",
        "rules": [*rules.values()],
    }
    executed = {"executionSuccessful": audited.verdict is not Verdict.INVALID}
    return json.dumps(
        {
            "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
            "version": "2.1.0",
            "runs": [
                {"tool": {"driver": driver}, "invocations": [executed], "results": [*_results(audited)]}
            ],
        },
        indent=2,
    )


def _results(audited: Audited) -> Iterator[dict[str, Any]]:
    for one in audited.advisories:
        place = {"artifactLocation": {"uri": one.lock}, "region": {"startLine": one.line}}
        yield {
            "ruleId": one.id,
            "level": "error",
            "message": {"text": one.text},
            "locations": [{"physicalLocation": place}],
            # So that a lock that is resolved anew does not make it another finding.
            "partialFingerprints": {"advisory/v1": f"{one.id}:{one.package}:{one.lock}"},
        }


def _said(package: _Dependency, one: _Vulnerability) -> str:
    cure = f"fixed in {', '.join(one.fix_versions)}" if one.fix_versions else "no fixed version yet"
    return (
        f"{package.name} {package.version}: {one.id}, {cure}. {one.description[:_SHOWN_CHARACTERS]}".strip()
    )


def _line(lines: list[str], package: str) -> int:
    start = f"{package.lower()}=="
    return next((number for number, line in enumerate(lines, 1) if line.lower().startswith(start)), 1)


def _asked(program: Path, lock: Path) -> str:
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "audit.json"
        argv = [str(program), "--requirement", str(lock), "--require-hashes", "--disable-pip"]
        argv += ["--format=json", f"--output={answer}", "--progress-spinner=off"]
        # 1 says that there are advisories; what it could not do it says, too, by leaving no answer.
        ended = run(argv, timeout_seconds=_AUDIT_SECONDS, check=False)
        if not answer.is_file():
            raise EnvironmentNotReadyError(
                "AUDIT_IMPOSSIBLE",
                f"pip-audit could not ask about {lock.name}: {ended.output[-1000:]}",
                hint="It needs PyPI, or what HTTPS_PROXY names.",
            )
        return answer.read_text(encoding="utf-8")


def program() -> Path:
    """Return pip-audit beside this Python, where `nox -s security` installs it."""
    return Path(sys.executable).with_name("pip-audit")
