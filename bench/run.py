"""A rehearsal, measured: its stages, its first word, its report, and what it costs to look.

    python bench/run.py e2e [--runs 1]       # whole runs on the cluster that is there
    python bench/run.py e2e RUN...           # the same of runs that were made, such as a soak's
    python bench/run.py report RUN           # rendering the report of a run that is there, again

The tables go into docs/benchmarks/run.md. A run of half an hour to be rendered is one of
`e2e --stages chaos --thorough`.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ground import tables
from ground.measuring import ROOT, machine
from rehearsal.core.verdicts import Verdict
from rehearsal.report import writing
from rehearsal.report.model import Report
from rehearsal.stages import run_folder

_PAGE = ROOT / "docs/benchmarks/run.md"
_PROGRAM = Path(sys.executable).with_name("rehearsal")
_TRIES = 7
_TARGETS = {"whole": "12 min", "contract": "3 min"}
_COST = " % of a core"  # as `core.costs` says it


def e2e(runs: int, folders: Sequence[Path]) -> None:
    """Rehearse, or take runs that were, and write down how long each stage took and what looking has cost."""
    first = _first_words()
    reports = [writing.read(one) for one in folders] or [_rehearsed() for _ in range(runs)]
    rows = [["whole", *_spread([one.run.seconds for one in reports]), _TARGETS["whole"]]]
    for stage in reports[0].stages:
        seconds = [next(two.seconds for two in one.stages if two.name == stage.name) for one in reports]
        rows.append([stage.name, *_spread(seconds), _TARGETS.get(stage.name, "")])
    run = reports[-1].run
    checks = sum(one.verdict is not Verdict.NOT_RUN for one in reports[-1].checks)
    verdicts = dict.fromkeys(one.verdict.value for one in reports)
    text = (
        f"{machine()}; profile {run.profile}, timing {run.timing}; {len(reports)} runs of {checks} checks "
        f"on a kept cluster, of {run.sha[:7]}, verdicts {', '.join(verdicts)}.\n\n"
        + tables.markdown(("stage", "fastest", "median", "slowest", "target"), rows)
        + f"\n\nFirst line of output: {1000 * statistics.median(first):.0f} ms, "
        f"at most {1000 * max(first):.0f}, in {_TRIES} starts (target: 500).\n\n"
        + "\n".join(f"- {one.message}" for one in reports[-1].notices if _COST in one.message)
    )
    tables.refresh(_PAGE, "e2e", text)


def report(folder: Path) -> None:
    """Render a run's report again and again, and write down how long that takes."""
    seconds = []
    for _ in range(_TRIES):
        began = time.monotonic()
        subprocess.run(
            [str(_PROGRAM), "report", str(folder)], check=False, stdout=subprocess.DEVNULL, cwd=ROOT
        )
        seconds.append(time.monotonic() - began)
    found = writing.read(folder)
    size = (folder / writing.PAGE).stat().st_size / 1000
    text = (
        f"{machine()}. `rehearsal report` of a run of {found.run.seconds / 60:.0f} min "
        f"with {len(found.checks)} checks: {statistics.median(seconds):.2f} s, at most {max(seconds):.2f}, "
        f"the program's start included "
        f"(target: 2 s); the page has {size:.0f} kB (300)."
    )
    tables.refresh(_PAGE, "report", text)


def _first_words() -> list[float]:
    """Return after how long a run says its first line."""
    found = []
    for _ in range(_TRIES):
        began = time.monotonic()
        with subprocess.Popen(
            [str(_PROGRAM), "e2e", "--stages", "doctor"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            found.append(time.monotonic() - began)
            process.stdout.read()
    return found


def _rehearsed() -> Report:
    subprocess.run([str(_PROGRAM), "e2e", "--keep"], check=False, cwd=ROOT)
    return writing.read(run_folder.find(ROOT))


def _spread(seconds: list[float]) -> list[str]:
    return [_time(one) for one in (min(seconds), statistics.median(seconds), max(seconds))]


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02d}" if whole >= 60 else f"{seconds:.1f} s"


def main() -> None:
    """Run one of the benchmarks."""
    parser = argparse.ArgumentParser(
        description="Measures rehearsals; see the tables in docs/benchmarks/run.md."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("e2e")
    one.add_argument("--runs", type=int, default=1)
    one.add_argument("folders", type=Path, nargs="*")
    two = commands.add_parser("report")
    two.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.command == "e2e":
        e2e(options.runs, options.folders)
    else:
        report(options.folder)


if __name__ == "__main__":
    main()
