"""How the stores are asked: by HTTP on 127.0.0.1, and what it means when one of them does not answer."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from rehearsal.core.errors import EnvironmentNotReadyError

_TIMEOUT_SECONDS = 15.0  # answers take milliseconds; a loaded machine is slower
_HINT = "`kubectl get pods -n mambogo-monitoring` shows whether it runs; `rehearsal up --ci` brings it up."


def store_client(port: int) -> httpx.Client:
    """Return a client of a store; no proxy of this machine stands between."""
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_TIMEOUT_SECONDS, trust_env=False)


def ask(client: httpx.Client, store: str, path: str, query: Mapping[str, str]) -> httpx.Response:
    """Return a store's answer: 200, or 404.

    Raises EnvironmentNotReadyError for any other one, and for none.
    """
    try:
        answer = client.get(path, params=dict(query))
    except httpx.HTTPError as error:
        said = f"{type(error).__name__}: {error}"
        raise EnvironmentNotReadyError(
            "STORE_SILENT", f"{store} does not answer: {said}", hint=_HINT
        ) from error
    if answer.status_code not in (200, 404):
        said = answer.text.strip()[:500]
        raise EnvironmentNotReadyError(
            "STORE_REFUSES", f"{store} answers {answer.status_code} to {path}: {said}", hint=_HINT
        )
    return answer
