"""Run the sandbox: settings from the environment, until SIGTERM."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

from mambogo_sandbox.app import create_app
from mambogo_sandbox.ledger import Ledger
from mambogo_sandbox.webhooks import WebhookSender


def application(environment: Mapping[str, str]) -> web.Application:
    """What the environment asks for; without WEBHOOK_URL nobody is told anything."""
    ledger = Ledger(Path(environment["DATABASE_PATH"]))
    url = environment.get("WEBHOOK_URL", "")
    webhooks = WebhookSender(ledger, url=url, secret=environment["WEBHOOK_SECRET"]) if url else None
    return create_app(ledger, api_key=environment["API_KEY"], webhooks=webhooks)


def main() -> None:
    """Serve."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    host = os.environ.get("HOST", "0.0.0.0")  # noqa: S104 - a pod is reached from outside its namespace
    port = int(os.environ.get("PORT", "8080"))
    web.run_app(application(os.environ), host=host, port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
