"""A real server for the length of a block: whatever `socketserver` or werkzeug can bind."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, ThreadingHTTPServer

_POLL_SECONDS = 0.01  # how long its end is waited for at most


@contextmanager
def running(server: HTTPServer) -> Iterator[int]:
    """Have a bound server answer, and yield its port; with the block it is closed and its threads have ended.

    A thread that still waits for its client's next request is not waited for.
    """
    if isinstance(server, ThreadingHTTPServer):
        server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": _POLL_SECONDS})
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
