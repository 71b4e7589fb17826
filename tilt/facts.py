"""Prints what the Tiltfile must know as one JSON object: the catalogue, and whether the registry answers.

Starlark reads neither TOML nor sockets. Python 3.11's standard library is all it needs, so that plain
`tilt up` works with any such interpreter. Checking the catalogue is left to the `rehearsal` command.
"""

from __future__ import annotations

import http.client
import json
import sys
import tomllib
from pathlib import Path

_ANSWER_SECONDS = 2.0


def registry_trouble(port: int) -> str:
    """Return why nothing can be pushed to the registry on this port of 127.0.0.1; empty when it answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/v2/")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()
    return "" if status == http.client.OK else f"it answers {status} on /v2/"


def main(catalogue_path: str, context: str) -> None:
    """Print the facts for a context: another cluster than the project's has ports of its own."""
    catalogue = tomllib.loads(Path(catalogue_path).read_text(encoding="utf-8"))
    contexts = catalogue.setdefault("contexts", {})
    trouble = "" if context in contexts else registry_trouble(catalogue["ports"]["registry"])
    catalogue["ports"].update(contexts.get(context, {}).get("ports", {}))
    json.dump({"catalogue": catalogue, "registry_trouble": trouble}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
