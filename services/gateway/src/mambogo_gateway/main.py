"""The gateway's process: settings, start, signals, end."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import uvloop
from mambogo_chassis.service import EXIT_CONFIGURATION, Service
from mambogo_chassis.serving import settle_memory

from mambogo_gateway.config import GatewayConfig, load_config
from mambogo_gateway.errors import ConfigurationError
from mambogo_gateway.instances import InstanceSource
from mambogo_gateway.wiring import SERVICE_NAME, GatewaySettings, make_server

logger = logging.getLogger(__name__)


async def serve(
    service: Service[GatewaySettings], config: GatewayConfig, instances: InstanceSource | None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain; SIGHUP reads the routes again."""
    server, _ = make_server(service, config, instances=instances)
    settings = service.settings.current
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    loop.add_signal_handler(signal.SIGHUP, server.reload)
    await server.start(settings.host, settings.port)
    settle_memory()
    await stop.wait()
    await server.stop()


def main(instances: InstanceSource | None = None) -> None:
    """Entry point of `mambogo-gateway`; `instances` replaces the registry."""
    service = Service.load(GatewaySettings, SERVICE_NAME)
    try:
        config = load_config(service.settings.current.routes_file)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(service, config, instances))
    except ConfigurationError as error:
        logger.critical("%s", error)
        sys.exit(EXIT_CONFIGURATION)
    finally:
        # Service.run does this for services under uvicorn; what waits in the log would be lost otherwise.
        if service._writer is not None:
            service._writer.close()


if __name__ == "__main__":
    main()
