"""Deploying everything once, with a verdict.

Tilt builds, pushes and applies; then every replica is awaited by the Kubernetes API, because Tilt only looks
at the newest pod of each workload.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rehearsal.core.errors import EnvironmentNotReadyError, HarnessError
from rehearsal.core.events import Emit, Step, step
from rehearsal.core.verdicts import Verdict
from rehearsal.core.waiting import NotYet, WaitTimeoutError, wait_until
from rehearsal.deploy import snapshot as snapshots
from rehearsal.deploy.judging import DeployResult, judge, require_start
from rehearsal.deploy.rollouts import Reader, Rollout, read_named, read_rollouts
from rehearsal.deploy.snapshot import Snapshot
from rehearsal.deploy.tilt import TiltProgram

_DEPLOY_SECONDS = 1200.0  # first builds on two cores included
_NAMED = 3  # failed resources in one line
_ROLLOUT_SECONDS = 180.0  # the second and later replicas; the first one is ready already


@dataclass(frozen=True, slots=True)
class Deployment:
    """What one deployment needs."""

    tilt: TiltProgram
    api: Reader
    artefacts: Path  # folder for Tilt's log and snapshot
    emit: Emit
    deploy_seconds: float = _DEPLOY_SECONDS
    rollout_seconds: float = _ROLLOUT_SECONDS
    passed: Callable[[], None] = lambda: None  # called when everything was deployed and is well

    @property
    def log(self) -> Path:
        """Tilt's output; that of the time before is beside it, as tilt.previous.log."""
        return self.artefacts / "tilt.log"

    @property
    def snapshot(self) -> Path:
        """Tilt's state at its end; `tilt snapshot view` shows it in a browser."""
        return self.artefacts / "tilt-snapshot.json"

    def run(self, resources: Sequence[str]) -> DeployResult:
        """Deploy these resources, or all, and return the verdict.

        Raises EnvironmentNotReadyError and HarnessError when nothing can be said about the product.
        """
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".previous.log"))
        with step(self.emit, "deploy", "by `tilt ci`") as doing:
            ended = self.tilt.ci(
                resources,
                snapshot=self.snapshot,
                log=self.log,
                timeout_seconds=self.deploy_seconds,
                on_line=lambda line: _show(doing, line),
            )
            state = self._read_snapshot(ended.exit_code, ended.tail)
            rollouts: tuple[Rollout, ...] = ()
            if ended.exit_code == 0:
                doing.progress("wait for every replica")
                rollouts = self._await_rollouts(state)
            result = judge(ended.exit_code, state, rollouts)
            doing.detail = _summary(result)
        if result.verdict is Verdict.PASS and not resources:
            self.passed()
        return result

    def _read_snapshot(self, exit_code: int, tail: str) -> Snapshot:
        try:
            state = snapshots.read(self.snapshot)
        except HarnessError as error:
            lines = "\n".join(tail.splitlines()[-snapshots.TAIL_LINES :])
            raise EnvironmentNotReadyError(
                "TILT_ENDED", f"`tilt ci` ended with {exit_code} before it had a state:\n{lines}",
                hint=f"The whole log: {self.log}",
            ) from error  # fmt: skip
        require_start(state)
        return state

    def _await_rollouts(self, state: Snapshot) -> tuple[Rollout, ...]:
        """Return the rollouts when they are complete, or as they are when the time is over."""
        applied = [name for one in state.workloads for name in one.objects if not one.workload_unseen]
        unseen = [one.name for one in state.workloads if one.workload_unseen]
        latest: tuple[Rollout, ...] = ()

        def probe() -> bool:
            nonlocal latest
            latest = (*read_rollouts(self.api, applied), *read_named(self.api, unseen))
            if open_ones := [str(one) for one in latest if not one.complete]:
                raise NotYet("; ".join(open_ones))
            return True

        try:
            wait_until(
                "every replica",
                probe,
                timeout_seconds=self.rollout_seconds,
                interval_seconds=0.5,
                hint="`kubectl get pods -A` shows which ones are not ready.",
            )
        except WaitTimeoutError:
            # Not an error of the environment: the judgement names the replicas.
            return latest
        return latest


def describe(result: DeployResult, log: Path) -> str:
    """Return the result for a person: one line when all is well, else each failure with its last lines.

    What failed comes first, with what to do next; what was not reached because of it is only named.
    """
    lines = [_summary(result)]
    if result.verdict is Verdict.PASS:
        return lines[0]
    for one in result.of(Verdict.FAIL):
        lines += ["", f"{one.name}: {one.reason}", *(f"  | {line}" for line in one.log_tail)]
        if one.hint:
            lines.append(f"  next: {one.hint}")
    if unreached := result.of(Verdict.INVALID):
        lines += ["", "not judged:", *(f"  {one.name}: {one.reason}" for one in unreached)]
    return "\n".join([*lines, "", f"The whole log: {log}"])


def _summary(result: DeployResult) -> str:
    if result.reason:
        return f"{result.verdict}: {result.reason}"
    well = f"{len(result.of(Verdict.PASS))} of {len(result.resources)} resources are well"
    names = [one.name for one in result.of(Verdict.FAIL)]
    failed = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    unreached = len(result.of(Verdict.INVALID))
    parts = [failed, well + (f", {unreached} not judged" if unreached else "")]
    return f"{result.verdict}: {'; '.join(filter(None, parts))}"


def _show(doing: Step, line: str) -> None:
    """Show a line of Tilt's output as progress, without the frame that Tilt draws around it."""
    name, frame, text = line.partition("│")
    if text.strip():
        doing.progress(f"{name.strip()}: {text.strip()}")
    elif not frame and line.strip():
        doing.progress(line.strip())
