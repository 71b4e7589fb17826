"""What was deployed before: what is written is read again, and nothing else is accepted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rehearsal.core.errors import ConfigurationError, EnvironmentNotReadyError
from rehearsal.load.weighing.baseline import FILE_NAME, Baseline, deployed, dumps, load
from rehearsal.load.weighing.operations import SERVICES

IMAGES = {service: f"registry/{service}:1" for service in SERVICES}


class Reader:
    """Deployments of all services, with a container besides the service's own."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def get(self, path: str) -> Mapping[str, Any] | None:
        """Return one."""
        service = path.rpartition("/")[2]
        if service == self.without:
            return None
        containers = [
            {"name": "beside", "image": "other"},
            {"name": service, "image": f"registry/{service}:1"},
        ]
        return {"spec": {"template": {"spec": {"containers": containers}}}}


def test_what_is_deployed_is_remembered(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(dumps(deployed(Reader(), "shop")), "utf-8")
    assert load(tmp_path / FILE_NAME) == Baseline(images=IMAGES)


def test_a_service_that_is_not_deployed_cannot_be_remembered() -> None:
    with pytest.raises(EnvironmentNotReadyError, match="no Deployment of cart-service"):
        deployed(Reader(without="cart-service"), "shop")


def test_without_a_file_it_says_how_there_comes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / FILE_NAME)
    assert "rehearsal weigh --write" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting"),
        ("[]", "valid dictionary"),
        (json.dumps({"images": IMAGES, "more": 1}), "Extra inputs"),
        (json.dumps({"images": {**IMAGES, "x-service": "x"}}), "x-service"),
        (json.dumps({"images": {}}), "cart-service"),
    ],
    ids=["syntax", "list", "unknown key", "unknown service", "missing service"],
)
def test_file_that_is_not_what_is_written_is_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / FILE_NAME).write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=why):
        load(tmp_path / FILE_NAME)
