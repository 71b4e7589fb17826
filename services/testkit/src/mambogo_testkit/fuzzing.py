"""A service's contract suite: it is fuzzed as several users, with several seeds.

The runs, and what they show, are the harness's, which does the same to the deployed shop.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rehearsal.contract.fuzzing.judging import Run, evidence, shortfalls, told
from rehearsal.contract.fuzzing.reading import Seen, read
from rehearsal.contract.fuzzing.running import Fuzz, User, fuzz

__all__ = ["SEEN", "FuzzRun", "Fuzzer", "User"]

SEEN = "seen.json"  # what a run has shown, in its folder, for programs

# A run takes 20 to 40 s; this bounds a hang, also on a machine that is busy with other things.
RUN_SECONDS = 900.0
SCENARIOS = 300  # with a third of them one seed in three leaves a link untried


@dataclass(frozen=True, slots=True)
class FuzzRun:
    """One run, and what it has shown."""

    user: User
    seed: int
    seen: Seen

    @property
    def failed(self) -> bool:
        """Whether anything was found, or the run itself could not be made."""
        return bool(told(self.seen))

    @property
    def summary(self) -> str:
        """What was found, a line for each."""
        return "\n".join([f"as {self.user.name}, seed {self.seed}:", *told(self.seen)])


@dataclass(slots=True)
class Fuzzer:
    """Runs with one configuration; `environment` is what the file refers to besides the users."""

    config: Path
    directory: Path
    users: Sequence[User]
    environment: Mapping[str, str] = field(default_factory=dict)
    _of_all_rights: list[Seen] = field(default_factory=list)

    def run_all(self, url: str, seeds: Sequence[int]) -> list[FuzzRun]:
        """Fuzz as each user with each seed; a run that found something is the last one."""
        runs: list[FuzzRun] = []
        for user, seed in itertools.product(self.users, seeds):
            runs.append(self.run(url, seed, user))
            if runs[-1].failed:
                break  # the others would find the same again, and take minutes
        return runs

    def run(
        self, url: str, seed: int, user: User, *, known: Mapping[str, Sequence[str]] | None = None
    ) -> FuzzRun:
        """Fuzz the service at `url` by its published document, as `user`; `known` are ids of what exists."""
        one = Fuzz(
            document=f"{url}/openapi.json",
            url=url,
            config=self.config,
            users=self.users,
            user=user,
            seed=seed,
            limit_seconds=RUN_SECONDS,
            scenarios=SCENARIOS,
            environment=self.environment,
            known=known or {},
        )
        folder = self.directory / f"{user.name}-{seed}"
        seen = read(folder, asyncio.run(fuzz(one, folder)))
        (folder / SEEN).write_text(evidence([Run(user, seed, seen)]), encoding="utf-8")
        if not user.forbidden:
            self._of_all_rights.append(seen)
        return FuzzRun(user, seed, seen)

    @property
    def missed(self) -> list[str]:
        """What no run of a user with every right has reached: an operation that took nothing, any link."""
        found = shortfalls(self._of_all_rights)
        return [f"{one.operation}: {one.sentence}: {one.observed}" for one in found]
