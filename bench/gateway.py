"""Compare gateways: CPU time per proxied request, all in one run, one core each, the same upstream.

python bench/gateway.py --seconds 10 --rounds 3

Needs wrk, nginx-light and redis-server from Debian, Maven and a JRE for Spring Cloud Gateway, and the
gateway's own environment. Rounds are interleaved, the table shows each peer's median; nothing is dropped.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "gateway"), str(_HERE.parent / "services/gateway/tests")]

from measuring import Sample, load, pinned, resident_mib  # noqa: E402 - found by the path above
from peers import PEERS, Peer, Setting  # noqa: E402 - found by the path above
from redis_process import free_port, redis_process  # noqa: E402 - found by the path above
from tokens import Issuer  # noqa: E402 - found by the path above

_GATEWAY_CORE = 0
_OTHER_CORE = 1
_START_SECONDS = 120.0


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str], core: int) -> Iterator[int]:
    """A process on a core; gives its id."""
    process = subprocess.Popen(
        pinned(core, command), env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def wait_until_it_answers(url: str, token: str) -> None:
    """Ask until the peer passes a request on."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})  # noqa: S310 - loopback
    end = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=2):  # noqa: S310 - loopback
            return
        if time.monotonic() > end:
            raise SystemExit(f"{url} does not answer")
        time.sleep(0.2)


def measure(peer: Peer, setting: Setting, token: str, seconds: int) -> tuple[Sample, float, float]:
    """One round of one peer: its sample, and its memory idle and loaded."""
    url = f"http://127.0.0.1:{setting.port}/api/items/42"
    environment = {
        **setting.environment,
        "ROUTES_FILE": str(setting.work / "routes.yaml"),
        "REDIS_URL": f"redis://127.0.0.1:{setting.redis}",
        "DRAIN_SECONDS": "0",
    }
    with started(peer.command(setting), environment, _GATEWAY_CORE) as process_id:
        wait_until_it_answers(url, token)
        idle = resident_mib(process_id)
        load(process_id, url, token, seconds=peer.warm_up_seconds, connections=32, core=_OTHER_CORE)
        sample = load(process_id, url, token, seconds=seconds, connections=32, core=_OTHER_CORE)
        return sample, idle, resident_mib(process_id)


def print_table(results: dict[str, list[tuple[Sample, float, float]]]) -> None:
    """Markdown, as it goes into the documentation."""
    does = {peer.name: peer.does for peer in PEERS}
    print("| gateway | checks | CPU us/request | spread | req/s | p50 ms | p99 ms | RSS MiB idle, loaded |")
    print("|---|---|---|---|---|---|---|---|")
    for name, rounds in results.items():
        samples = [sample for sample, _, _ in rounds]
        if any(sample.errors for sample in samples):
            raise SystemExit(f"{name}: {sum(sample.errors for sample in samples)} errors; not a measurement")
        cpu = [sample.cpu_microseconds for sample in samples]
        print(
            f"| {name} | {does[name]} | {statistics.median(cpu):.0f} | {min(cpu):.0f}-{max(cpu):.0f} "
            f"| {statistics.median(s.requests_per_second for s in samples):.0f} "
            f"| {statistics.median(s.p50_ms for s in samples):.1f} "
            f"| {statistics.median(s.p99_ms for s in samples):.1f} "
            f"| {rounds[0][1]:.0f}, {rounds[-1][2]:.0f} |"
        )


def main() -> None:
    """Measure the peers that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=[peer.name for peer in PEERS])
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if arguments.only is None or peer.name in arguments.only]
    results: dict[str, list[tuple[Sample, float, float]]] = {peer.name: [] for peer in peers}
    issuer = Issuer()
    token = issuer.token("alice")
    with tempfile.TemporaryDirectory() as directory, redis_process() as redis:
        upstream = free_port()
        command = [sys.executable, str(_HERE / "gateway/upstream.py"), str(upstream)]
        with started(command, dict(os.environ), _OTHER_CORE):
            for _ in range(arguments.rounds):
                for peer in peers:
                    setting = Setting(
                        Path(directory), free_port(), upstream, redis.port, issuer.environment()
                    )
                    results[peer.name].append(measure(peer, setting, token, arguments.seconds))
    issuer.close()
    print_table(results)


if __name__ == "__main__":
    main()
