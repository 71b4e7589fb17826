"""A session: each family planted in a copy and looked for, after a look at the copy as it is.

What is in the log already is not done again: a session that was killed goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from rehearsal.core.errors import RehearsalError
from rehearsal.detection import scoring, trials
from rehearsal.detection.copying import Copy
from rehearsal.detection.detecting import Detector
from rehearsal.detection.model import Family, Seen
from rehearsal.detection.scoring import Outcome, Score
from rehearsal.detection.trials import CONTROL, Trial

FOLDER = Path("runs", "detection")  # the copy, and what detectors leave for a reader


@dataclass(slots=True)
class Session:
    """Looks for planted defects of one commit."""

    origin: Path
    commit: str
    tree: str
    seed: str
    detectors: Mapping[str, Detector]
    log: Path
    say: Callable[[str], None] = lambda text: None
    _controls: dict[str, Trial] = field(default_factory=dict)

    def run(self, families: Sequence[Family]) -> list[Trial]:
        """Look for every family that is not in the log, and return the trials of all, controls included.

        Raises PlantError when a defect cannot be planted any more.
        """
        for detector in self.detectors.values():
            detector.put_back()  # what a killed session has left
        done = self._done()
        self._controls = {one.detector: one for one in done.values() if one.is_control}
        found = {name: one for (name, _), one in done.items() if not one.is_control}
        left = [one for one in families if one.name not in found]
        if left:
            copy = Copy.make(self.origin, self.origin / FOLDER / "copy", self.commit)
            with ExitStack() as stack:
                for name in sorted({one.detector for one in left}):
                    stack.callback(self.detectors[name].put_back)
                for family in left:
                    found[family.name] = self._look_for(family, copy)
        used = {one.detector for one in families}
        controls = [one for name, one in sorted(self._controls.items()) if name in used]
        return [*controls, *(found[one.name] for one in families)]

    def _done(self) -> dict[tuple[str, str], Trial]:
        every = trials.latest(trials.read(self.log), tree=self.tree, seed=self.seed)
        return {key: one for key, one in every.items() if one.is_done}

    def _look_for(self, family: Family, copy: Copy) -> Trial:
        control = self._control(family.detector, copy)
        if control.outcome is not Outcome.CLEAN:
            # Nothing that it names would mean anything.
            unseen = Seen(control.exit_code, said=f"its control: {control.said}")
            return self._written(family.name, family.detector, unseen, Score(control.outcome, 0.0))
        try:
            planted = family.plant(copy.root, family.draw(self.seed))
            self.say(f"{family.name}: {planted.site}")
            seen, seconds = self._look(family.detector, copy)
            worth = scoring.score(seen, planted.cause)
            return self._written(
                family.name,
                family.detector,
                seen,
                worth,
                site=planted.site,
                wanted=str(planted.cause),
                seconds=seconds,
            )
        finally:
            copy.mend()

    def _control(self, detector: str, copy: Copy) -> Trial:
        if detector not in self._controls:
            self.say(f"{detector}: a copy that nobody has broken")
            seen, seconds = self._look(detector, copy)
            worth = scoring.control(seen)
            self._controls[detector] = self._written(CONTROL, detector, seen, worth, seconds=seconds)
        return self._controls[detector]

    def _look(self, detector: str, copy: Copy) -> tuple[Seen, float]:
        started = monotonic()
        try:
            seen = self.detectors[detector].look(copy.root)
        except RehearsalError as error:
            seen = Seen(error.exit_code, said=f"{error.message.splitlines()[0]} [{error.code}]")
        return seen, monotonic() - started

    def _written(
        self,
        family: str,
        detector: str,
        seen: Seen,
        worth: Score,
        *,
        site: str = "",
        wanted: str = "",
        seconds: float = 0.0,
    ) -> Trial:
        one = Trial(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            tree=self.tree,
            commit=self.commit,
            seed=self.seed,
            family=family,
            detector=detector,
            site=site,
            wanted=wanted,
            outcome=worth.outcome,
            score=round(worth.value, 3),
            named=tuple(map(str, seen.named)),
            blind=tuple(map(str, seen.blind)),
            said=seen.said,
            exit_code=seen.exit_code,
            seconds=round(seconds, 1),
        )
        trials.append(self.log, one)
        self.say(f"  {one.outcome} {one.score:.2f}: {one.said}")
        return one
