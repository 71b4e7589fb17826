"""What the Tiltfile is told of the catalogue, for each context."""

from __future__ import annotations

import json
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_catalogue import STAGING
from tests.deploy.base import ROOT
from tests.servers import running

pytestmark = pytest.mark.enable_socket


class Registry(BaseHTTPRequestHandler):
    """A registry that is broken, and counts who asks."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(500)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("context", "http", "trouble", "asked"),
    [("staging", 18080, "", 0), ("kind-mambogo", 8080, "it answers 500 on /v2/", 1)],
)
def test_context_has_its_ports_and_its_registry_is_its_own(
    tmp_path: Path, context: str, http: int, trouble: str, asked: int
) -> None:
    Registry.asked = 0
    with running(HTTPServer(("127.0.0.1", 0), Registry)) as port:
        text = (ROOT / "rehearsal.toml").read_text(encoding="utf-8")
        text = text.replace("registry = 5001", f"registry = {port}") + STAGING
        (tmp_path / "rehearsal.toml").write_text(text, encoding="utf-8")
        argv = [sys.executable, str(ROOT / "tilt" / "facts.py"), str(tmp_path / "rehearsal.toml"), context]
        said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    facts: dict[str, Any] = json.loads(said)

    assert facts["catalogue"]["ports"]["http"] == http
    assert facts["catalogue"]["ports"]["prometheus"] == 9090
    assert set(facts["catalogue"]["contexts"]) == {"staging"}
    assert (facts["registry_trouble"], Registry.asked) == (trouble, asked)
