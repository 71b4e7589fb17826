"""The alert rules in worlds of which it is known whether something is wrong, by promtool.

The guide's rules are tested, too: docs/production-findings.md says what they miss, and this shows it.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import tools

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = _ROOT / "k8s" / "base" / "monitoring" / "prometheus-config.yaml"
_FILES = {"guide": "alert_rules.yml", "corrected": "corrected.yml"}
_WORLDS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "worlds.yml").read_text())
_INTERVAL_SECONDS = 15
_ASKED_AT = "30m"


def _rules(whose: str) -> str:
    return str(yaml.safe_load(_CONFIGURATION.read_text())["data"][_FILES[whose]])


def _promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(one) for one in (tools.promtool(), *arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _test_of(world: dict[str, Any], firing: int) -> dict[str, Any]:
    expression = f'count(ALERTS{{alertname="{world["alert"]}",alertstate="firing"}}) or vector(0)'
    return {
        "name": world["name"],
        "interval": f"{_INTERVAL_SECONDS}s",
        "input_series": [{"series": name, "values": values} for name, values in world["series"].items()],
        "promql_expr_test": [
            {"expr": expression, "eval_time": _ASKED_AT, "exp_samples": [{"labels": "{}", "value": firing}]}
        ],
    }


def _asked(folder: Path, whose: str, *tests: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    (folder / "rules.yml").write_text(_rules(whose))
    content = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{_INTERVAL_SECONDS}s",
        "tests": list(tests),
    }
    (folder / "tests.yml").write_text(yaml.safe_dump(content))
    return _promtool("test", "rules", folder / "tests.yml")


@pytest.mark.parametrize("whose", ["guide", "corrected"])
@pytest.mark.parametrize("world", _WORLDS, ids=lambda world: str(world["name"]))
def test_an_alert_fires_where_it_is_said_to(tmp_path: Path, world: dict[str, Any], whose: str) -> None:
    ended = _asked(tmp_path, whose, _test_of(world, world[whose]))
    assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize("world", _WORLDS, ids=lambda world: str(world["name"]))
def test_the_opposite_is_refused(tmp_path: Path, world: dict[str, Any]) -> None:
    assert _asked(tmp_path, "corrected", _test_of(world, 1 - world["corrected"])).returncode == 1


def test_every_corrected_rule_fires_in_one_world_and_is_silent_in_another() -> None:
    rules = yaml.safe_load(_rules("corrected"))["groups"][0]["rules"]
    for alert in (rule["alert"] for rule in rules):
        assert {world["corrected"] for world in _WORLDS if world["alert"] == alert} == {0, 1}, alert


@pytest.mark.parametrize("whose", ["guide", "corrected"])
def test_the_rules_are_well_formed(tmp_path: Path, whose: str) -> None:
    (tmp_path / "rules.yml").write_text(_rules(whose))
    ended = _promtool("check", "rules", "--lint=all", "--lint-fatal", tmp_path / "rules.yml")
    assert ended.returncode == 0, ended.stdout + ended.stderr
