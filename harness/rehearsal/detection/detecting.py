"""What looks at a copy, as a person would: by the project's commands, read from what they write for programs.

A detector knows nothing of what was planted. It runs the copy's own code.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.processes import Completed, run
from rehearsal.core.verdicts import ExitCode
from rehearsal.detection.model import Cost, Named, Seen

_INSPECT_SECONDS = 300.0  # takes two or three
_FUZZ_SECONDS = 3600.0  # takes three to six minutes on a quiet machine
_RUN_SECONDS = 3600.0  # a deployment and a stage
_FUZZ = "contract.fuzz"
_SEEN = "seen.json"  # of each of a suite's runs: a list with what it has shown
_LOOKED = (ExitCode.PASS, ExitCode.FAIL, ExitCode.INVALID)


class Detector(Protocol):
    """Looks at a copy."""

    @property
    def cost(self) -> Cost:
        """What it takes."""

    def look(self, root: Path) -> Seen:
        """Look at the copy in `root`. Raises RehearsalError when that is not possible."""

    def put_back(self) -> None:
        """Undo what looking has changed outside of the copy."""


@dataclass(frozen=True, slots=True)
class Fuzzing:
    """`nox -s "fuzz(suite=...)"`: a service as a process, fuzzed by its own document as several users."""

    service: str  # "order"
    folder: Path  # for the session's environment and the fuzzer's reports
    cost: Cost = Cost.SERVICE

    def look(self, root: Path) -> Seen:
        """Fuzz the copy's service; a finding names the operation."""
        reports = self.folder / "fuzz" / self.service
        shutil.rmtree(reports, ignore_errors=True)
        reports.parent.mkdir(parents=True, exist_ok=True)
        nox = [sys.executable, "-m", "nox", "--envdir", str(self.folder / "nox")]
        suite = ["-s", f"fuzz(suite='{self.service}')", "--", "-q", f"--basetemp={reports}"]
        log = self.folder / f"fuzz-{self.service}.log"
        ended = run([*nox, *suite], timeout_seconds=_FUZZ_SECONDS, cwd=root, log=log, check=False)
        # Not schemathesis' own summary: between two operations it names neither ("Stateful tests").
        files = sorted(reports.rglob(_SEEN))
        runs = [one for path in files for one in json.loads(path.read_text("utf-8"))]
        return fuzzed(f"{self.service}-service", runs, ended)

    def put_back(self) -> None:
        """Nothing was changed."""


def fuzzed(service: str, runs: Sequence[Mapping[str, Any]], ended: Completed) -> Seen:
    """Return what the fuzzer's runs name, each operation once."""
    failures = [one for found in runs for one in found["failures"]]
    named = tuple(dict.fromkeys(Named(_FUZZ, f"{service} {one['operation']}") for one in failures))
    if named:
        first = failures[0]
        said = f"{named[0].subject}: {first['title']}"
        return Seen(ExitCode.FAIL, named, said=said)
    if ended.ok and runs:
        return Seen(ExitCode.PASS)
    # The suite ended otherwise than by a finding of the fuzzer: by one of its own assertions, or before it.
    code = ExitCode.FAIL if runs else ExitCode.ERROR
    return Seen(code, said=_last_line(ended.output))


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is deployed on the cluster that is there: copies, and in the end the checkout again."""

    origin: Path  # the checkout
    folder: Path
    # Which cluster is there: empty for none, None when nobody can say. Nothing is started to find out.
    cluster: Callable[[], str | None] = lambda: None
    say: Callable[[str], None] = lambda text: None

    @property
    def _mark(self) -> Path:
        """Says which cluster has a copy on it, also to the session after one that was killed."""
        return self.folder / "to-put-back"

    def mark(self) -> None:
        """Note, before a copy is deployed and after it, on which cluster one is."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._mark.write_text(self.cluster() or "", "utf-8")

    def deploy(self, root: Path) -> None:
        """Deploy a checkout. Raises EnvironmentNotReadyError when that does not succeed."""
        log = self.folder / "deploy.log"
        ended = rehearsal(root, "up", "--ci", timeout_seconds=_RUN_SECONDS, log=log)
        if not ended.ok:
            raise EnvironmentNotReadyError(
                "NOT_DEPLOYED", _last_line(ended.output), hint=f"{log} has what was said."
            )

    def put_back(self) -> None:
        """Deploy the checkout again, if a copy was and the cluster that has it is still there."""
        if not self._mark.exists():
            return
        if self._is_gone():
            self.say("the cluster that had a planted defect on it is gone: there is nothing to put back")
            self._mark.unlink()
            return
        try:
            self.deploy(self.origin)
        except EnvironmentNotReadyError as error:
            raise EnvironmentNotReadyError(
                "CLUSTER_HAS_A_DEFECT",
                f"the cluster still has a planted defect on it: {error.message}",
                hint="`rehearsal up --ci` deploys this checkout again.",
            ) from error
        self._mark.unlink()

    def _is_gone(self) -> bool:
        marked, there = self._mark.read_text("utf-8"), self.cluster()
        # A mark that names none may be of any.
        return there == "" or (there is not None and marked not in ("", there))


@dataclass(frozen=True, slots=True)
class Rehearsing:
    """`rehearsal e2e --stages deploy,...`: the copy deployed on the cluster that is there; its report."""

    stage: str
    deployment: Deployment
    cost: Cost = Cost.CLUSTER

    def look(self, root: Path) -> Seen:
        """Deploy the copy, run the stage and read the report."""
        self.deployment.mark()
        before = set(root.glob("runs/*/report.json"))
        log = self.deployment.folder / f"{self.stage}.log"
        stages = f"deploy,{self.stage}"
        ended = rehearsal(root, "e2e", "--stages", stages, timeout_seconds=_RUN_SECONDS, log=log)
        made = sorted({*root.glob("runs/*/report.json")} - before)
        if ended.returncode not in _LOOKED:
            return Seen(ended.returncode, said=_last_line(ended.output))
        if not made:
            # Python's own code for a program that broke is that of a finding.
            return Seen(ExitCode.ERROR, said=_last_line(ended.output))
        return seen_of(ended.returncode, json.loads(made[-1].read_text("utf-8"))["checks"])

    def put_back(self) -> None:
        """Deploy the checkout again, if a copy was."""
        self.deployment.put_back()


@dataclass(frozen=True, slots=True)
class Weighing:
    """`rehearsal weigh`: CPU time of the copy's operations, beside pods of the checkout's."""

    deployment: Deployment
    cost: Cost = Cost.CLUSTER

    @property
    def _before(self) -> Path:
        return self.deployment.folder / "weighed-before.json"

    def look(self, root: Path) -> Seen:
        """Deploy and remember the checkout once, then weigh the copy."""
        if not self._before.exists():
            self.deployment.put_back()
            self.deployment.deploy(self.deployment.origin)
            written = self._weigh(self.deployment.origin, "--write")
            if not written.ok:
                return Seen(written.returncode, said=_last_line(written.output))
        self.deployment.mark()
        try:
            self.deployment.deploy(root)
        finally:
            self.deployment.mark()  # it may have made another cluster
        ended = self._weigh(root)
        if ended.returncode not in _LOOKED:
            return Seen(ended.returncode, said=_last_line(ended.output))
        return seen_of(ended.returncode, _json(ended.output)["checks"])

    def put_back(self) -> None:
        """Deploy the checkout again, if a copy was; what was remembered is of this session alone."""
        self._before.unlink(missing_ok=True)
        self.deployment.put_back()

    def _weigh(self, root: Path, *more: str) -> Completed:
        arguments = ("weigh", "--json", "--before", str(self._before), *more)
        # All of its output: with a log only the end would be kept.
        ended = rehearsal(root, *arguments, timeout_seconds=_RUN_SECONDS)
        with (self.deployment.folder / "weigh.log").open("a", encoding="utf-8") as log:
            log.write(ended.output)
        return ended


@dataclass(frozen=True, slots=True)
class Inspection:
    """`rehearsal inspect`: the committed contracts and the manifests."""

    cost: Cost = Cost.DOCUMENT

    def look(self, root: Path) -> Seen:
        """Inspect the copy."""
        ended = rehearsal(root, "inspect", "--json", timeout_seconds=_INSPECT_SECONDS)
        if ended.returncode not in _LOOKED:
            return Seen(ended.returncode, said=_last_line(ended.output))
        return seen_of(ended.returncode, _json(ended.output)["checks"])

    def put_back(self) -> None:
        """Nothing was changed."""


def rehearsal(root: Path, *arguments: str, timeout_seconds: float, log: Path | None = None) -> Completed:
    """Run a copy's own `rehearsal` in it."""
    environment = {**os.environ, "PYTHONPATH": str(root / "harness")}
    return run(
        [sys.executable, "-m", "rehearsal", *arguments],
        timeout_seconds=timeout_seconds,
        env=environment,
        cwd=root,
        log=log,
        check=False,
    )


def seen_of(exit_code: int, checks: list[dict[str, Any]]) -> Seen:
    """Return what checks say, as `inspect --json` and `report.json` have them."""
    failed = [one for one in checks if one["verdict"] == "FAIL"]
    invalid = [one for one in checks if one["verdict"] == "INVALID"]
    return Seen(
        exit_code,
        tuple(Named(one["id"], one["subject"]) for one in failed),
        tuple(Named(one["id"], one["subject"]) for one in invalid),
        next((str(one["sentence"]) for one in (*failed, *invalid)), ""),
    )


def _json(output: str) -> dict[str, Any]:
    """Return the object that a command printed among what it said on standard error."""
    lines = output.splitlines()
    try:
        begin, end = lines.index("{"), lines.index("}")
        found: dict[str, Any] = json.loads("\n".join(lines[begin : end + 1]))
    except ValueError as error:
        raise HarnessError(
            "DETECTION_UNREADABLE",
            f"the command printed no JSON: {_last_line(output)}",
            hint="Run the same command by hand in a clone.",
        ) from error
    return found


def _last_line(output: str) -> str:
    return next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "nothing was said")
