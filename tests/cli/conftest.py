"""A ground for whole runs: checkout and state folder of their own, and stages that do as they are told."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rehearsal.cli import e2e_assembly
from rehearsal.cli.composition import Workshop
from rehearsal.cli.e2e_assembly import Options
from rehearsal.contract.tapping.tap import Tap
from rehearsal.core.events import Level, Notice
from rehearsal.core.ledger import Ledger
from rehearsal.deploy.private_files import write_private
from rehearsal.stages.registry import NAMES
from rehearsal.stages.room import Room, Stage

from tests.stages.planted_run import KIND, planted

CHECKOUT = Path(__file__).resolve().parents[2]
DRAWN = "Zq7-drawn-and-long-enough"  # the only credential of a ground


class Ground:
    """A checkout and a state folder of their own, with stages that do as they are told."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.checkout.mkdir()
        shutil.copy(CHECKOUT / "rehearsal.toml", self.checkout)
        self.ledger = Ledger(folder / "state" / "mambogo-rehearsal" / "ledger")
        self.deeds: dict[str, str] = {}
        self.undone: list[str] = []

    def stages(self, shop: Workshop, options: Options, ledger: Ledger, tap: Tap) -> Mapping[str, Stage]:
        """Return planted stages in place of the real ones."""
        deeds = {name: self.deeds.get(name, "PASS") for name in NAMES}
        return {name: _leaking if deed == "leak" else planted(deed, ledger) for name, deed in deeds.items()}

    def set(self, key: str, value: float) -> None:
        """Change a number of the catalogue."""
        catalogue = self.checkout / "rehearsal.toml"
        text, count = re.subn(
            rf"^{key} = [\d.]+", f"{key} = {value}", catalogue.read_text("utf-8"), flags=re.M
        )
        assert count == 1
        catalogue.write_text(text, "utf-8")

    def undo(self, arguments: Mapping[str, str]) -> None:
        """Take down what was undone."""
        self.undone.append(arguments["stage"])

    def reports(self) -> list[dict[str, Any]]:
        """Return the reports of all runs."""
        paths = sorted(self.checkout.glob("runs/*/report.json"))
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def _leaking(room: Room) -> None:
    (room.folder / "leak.log").write_text(f"the value is {DRAWN}\n", encoding="utf-8")
    (room.run / "late.log").write_text(f"the value is {DRAWN}\n", encoding="utf-8")  # beside the stage's
    room.emit(Notice(Level.INFO, f"the value is {DRAWN}"))
    room.record(KIND.failed("planted", f"it says {DRAWN}", expected="a", observed=DRAWN))


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ground:
    """Return a ground on which the command works."""
    made = Ground(tmp_path)
    write_private(made.ledger.folder.with_name("credentials.json"), json.dumps({"redis_password": DRAWN}))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(made.checkout)
    monkeypatch.setattr(e2e_assembly, "_stages", made.stages)
    monkeypatch.setattr(e2e_assembly, "_filled", lambda shop: {"runs": made.checkout})
    monkeypatch.setattr(e2e_assembly, "_undoers", lambda shop, *, awaits=True: {"planted": made.undo})
    return made
