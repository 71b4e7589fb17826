"""The README's service, taken from the README and run."""

import json
import re
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from support.processes import service_process

README = Path(__file__).parents[1] / "README.md"


def get(port: int, path: str) -> tuple[int, Any]:
    with closing(HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


def test_the_service_in_the_readme_runs(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    source = found[1]
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
    script = tmp_path / "greeting.py"
    script.write_text(source)
    with service_process(script, tmp_path / "log", {"GREETING": "Hi"}) as service:
        assert get(service.port, "/api/greetings/2") == (200, {"text": "HiHi"})
        status, problem = get(service.port, "/api/greetings/11")
    assert (status, problem["type"]) == (404, "urn:mambogo:problem:not-found")
