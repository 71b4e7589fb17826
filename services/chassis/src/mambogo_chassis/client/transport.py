"""One HTTP exchange on a pooled aiohttp session; knows no retries, breakers or services.

aiohttp because it is the fastest maintained client that was measured: some 15 times httpx's throughput at 32
connections. It is imported when the first session is made. Redirects are not followed (an answer must not be
able to send a service elsewhere), proxies of the environment are not used, cookies are not kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mambogo_chassis.client.failures import (
    UpstreamProtocolError,
    UpstreamTimeoutError,
    UpstreamUnavailableError,
)

if TYPE_CHECKING:
    import aiohttp

# Below the server's 75 s (serving.KEEP_ALIVE_SECONDS): the caller closes first, so no request meets a close.
KEEP_ALIVE_SECONDS: Final = 15.0
# A pod's address answers a connect within milliseconds; waiting longer only eats the deadline.
CONNECT_TIMEOUT_SECONDS: Final = 1.0
MAX_REPLY_BYTES: Final = 4_194_304
_DNS_CACHE_SECONDS: Final = 10
_READ_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Reply:
    """A complete answer; header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """A pool of connections; made lazily, closed by `close`."""

    def __init__(
        self,
        *,
        max_connections_per_instance: int = 64,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        self._connect_timeout_seconds = connect_timeout_seconds
        self._limit = max_connections_per_instance
        self._max_reply_bytes = max_reply_bytes
        self._session: aiohttp.ClientSession | None = None

    async def exchange(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
    ) -> Reply:
        """Send one request and read its whole answer within the time. Raises an UpstreamError."""
        import aiohttp

        session = self._ensure_session()
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=self._connect_timeout_seconds)
        try:
            async with session.request(
                method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False
            ) as response:
                content = await self._read(response)
                return Reply(
                    response.status,
                    {name.lower(): value for name, value in response.headers.items()},
                    content,
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise UpstreamUnavailableError(f"no connection to {_origin(url)} in time", sent=False) from error
        except TimeoutError as error:
            raise UpstreamTimeoutError(
                f"no answer from {_origin(url)} within {timeout_seconds:.3f} s", sent=True
            ) from error
        except aiohttp.ClientConnectorError as error:
            raise UpstreamUnavailableError(f"no connection to {_origin(url)}", sent=False) from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL) as error:
            raise UpstreamProtocolError(f"{_origin(url)} answered no HTTP", sent=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnavailableError(
                f"the connection to {_origin(url)} broke: {type(error).__name__}", sent=True
            ) from error

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        chunks = []
        size = 0
        async for chunk in response.content.iter_chunked(_READ_BYTES):
            size += len(chunk)
            if size > self._max_reply_bytes:
                response.close()
                raise UpstreamProtocolError(
                    f"an answer of more than {self._max_reply_bytes} bytes", sent=True
                )
            chunks.append(chunk)
        return b"".join(chunks)

    def _ensure_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            import aiohttp

            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    limit_per_host=self._limit,
                    keepalive_timeout=KEEP_ALIVE_SECONDS,
                    ttl_dns_cache=_DNS_CACHE_SECONDS,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding"),
            )
        return self._session


def _origin(url: str) -> str:
    # Host and port only: a path may hold ids, a query personal data.
    return "/".join(url.split("/", 3)[:3])
