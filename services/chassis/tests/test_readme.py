"""The README's service, taken from the README and run."""

import json
import re
from http.client import HTTPConnection
from pathlib import Path

from support.processes import service_process

README = Path(__file__).parents[1] / "README.md"


def test_the_service_in_the_readme_runs(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found is not None
    source = found[1]
    assert len([line for line in source.splitlines() if line.strip()]) <= 30
    script = tmp_path / "greeting.py"
    script.write_text(source)
    with service_process(script, tmp_path / "log", {"GREETING": "Hi"}) as service:
        connection = HTTPConnection("127.0.0.1", service.port, timeout=10)
        connection.request("GET", "/api/greetings/2")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())) == (200, {"text": "HiHi"})
        connection.request("GET", "/api/greetings/11")
        response = connection.getresponse()
        assert (response.status, json.loads(response.read())["type"]) == (
            404,
            "urn:mambogo:problem:not-found",
        )
