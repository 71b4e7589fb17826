"""Entry point of the image: `python -m mambogo_echo`."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import uvicorn

from mambogo_echo.app import create_app
from mambogo_echo.build import source_digest
from mambogo_echo.version import VERSION

_DRAIN_SECONDS = 5  # below the pod's grace period


def main() -> None:
    """Serve until SIGTERM, then drain."""
    app = create_app(
        pod=os.environ.get("POD_NAME") or socket.gethostname(),
        version=VERSION,
        build=source_digest(Path(__file__).parent),
    )
    uvicorn.run(
        app,
        host=os.environ.get("HOST", "0.0.0.0"),  # noqa: S104 - a pod serves on its own address
        port=int(os.environ.get("PORT", "8000")),
        access_log=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


if __name__ == "__main__":
    main()
