"""Buttons of Tilt's interface: Starlark is Python here, and what Tilt offers is planted."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from tests.deploy.base import ROOT

FILE = ROOT / "tilt" / "buttons.tiltfile"


def _buttons(context: str) -> set[str]:
    made: list[str] = []
    offered: dict[str, Any] = {
        "__file__": str(FILE),
        "os": os,
        "config": SimpleNamespace(tilt_subcommand="up"),
        "v1alpha1": SimpleNamespace(
            ui_button=lambda **fields: made.append(fields["name"]),
            cmd=lambda **fields: None,
            start_on_spec=lambda **fields: None,
        ),
    }
    exec(FILE.read_text(encoding="utf-8"), offered)  # noqa: S102 - the project's own file
    offered["add_buttons"](context, "kind-mambogo", "mambogo-production", ["order-service"])
    return set(made)


@pytest.mark.parametrize(("context", "shop"), [("kind-mambogo", {"seed", "order"}), ("staging", set())])
def test_what_knows_no_other_cluster_has_its_button_at_home_alone(context: str, shop: set[str]) -> None:
    assert _buttons(context) == shop | {"kill-order-service", "migrate-order-service"}
