"""Compare gateways: CPU time per proxied request, all in one run, one core each, the same upstream.

nox -s bench -- gateway --write

Needs wrk, nginx-light and redis-server from Debian, and Maven and a JDK for Spring Cloud Gateway. Rounds are
interleaved, the table shows each peer's median; nothing is dropped. `--write` puts the tables, and the hot
path's, into services/gateway/docs/performance.md.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

_HERE = Path(__file__).parent
sys.path[:0] = [str(_HERE / "gateway"), str(_HERE.parent / "services/gateway/tests")]

import document  # noqa: E402 - found by the path above
import half_load  # noqa: E402 - found by the path above
from mambogo_testkit.ports import free_port  # noqa: E402 - after the path above
from measuring import Sample, load, pinned, resident_mib, undisturbed  # noqa: E402 - found by the path above
from peers import PEERS, Peer, Setting  # noqa: E402 - found by the path above
from redis_process import redis_process  # noqa: E402 - found by the path above
from tokens import Issuer  # noqa: E402 - found by the path above

_GATEWAY_CORE = 0
_OTHER_CORE = 1
_START_SECONDS = 120.0
# A ratio of two tails scatters more than a mean: more of them, of which the median is taken.
_TURNS_PER_ROUND = 3


def require(peers: Sequence[Peer]) -> None:
    """End with what to install, before minutes are spent."""
    wanted = {"wrk": "wrk", "nginx": "nginx-light", "redis-server": "redis-server"}
    if any(peer.name.startswith("Spring") for peer in peers):
        wanted |= {"mvn": "maven", "java": "default-jre-headless"}
    missing = [package for program, package in wanted.items() if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"not installed: apt-get install -y --no-install-recommends {' '.join(missing)}")


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str]) -> Iterator[int]:
    """A process; gives its id."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
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


def behind(
    program: str, port: int, on: Callable[[int, list[str]], list[str]]
) -> contextlib.AbstractContextManager[int]:
    """What stands behind all peers (`upstream`, `collector`), on the generator's core."""
    return started(on(_OTHER_CORE, script(program, port)), dict(os.environ))


def script(name: str, *ports: int) -> list[str]:
    """A program of this bench's own."""
    return [sys.executable, str(_HERE / f"gateway/{name}.py"), *map(str, ports)]


@contextlib.contextmanager
def running(
    peer: Peer, setting: Setting, token: str, on: Callable[[int, list[str]], list[str]] = pinned
) -> Iterator[int]:
    """A peer that passes requests on; gives its process id."""
    environment = {
        **setting.environment,
        **peer.environment,
        "ROUTES_FILE": str(setting.work / "routes.yaml"),
        "REDIS_URL": f"redis://127.0.0.1:{setting.redis}",
        "DRAIN_SECONDS": "0",
    }
    with started(on(_GATEWAY_CORE, peer.command(setting)), environment) as process_id:
        wait_until_it_answers(setting.url, token)
        yield process_id


def measure(peer: Peer, setting: Setting, token: str, seconds: int) -> tuple[Sample, float, float]:
    """One round of one peer: its sample, and its memory idle and loaded."""
    with running(peer, setting, token) as process_id:
        idle = resident_mib(process_id)
        for length in (peer.warm_up_seconds, seconds):
            sample = load(process_id, setting.url, token, seconds=length, connections=32, core=_OTHER_CORE)
        return sample, idle, resident_mib(process_id)


def measure_half_load(
    settings: tuple[Setting, Setting], token: str, *, capacity: float, seconds: int, turns: int
) -> list[str]:
    """The table of the gateway, nginx and a copier of bytes at half of `capacity` requests a second."""
    upstream, copier = settings[0].upstream, free_port()
    ours, nginx = (next(peer for peer in PEERS if peer.name == name) for name in (PEERS[0].name, "nginx"))
    with (
        behind("upstream", upstream, undisturbed),
        behind("collector", settings[0].collector, pinned),
        running(ours, settings[0], token, undisturbed) as process_id,
        running(nginx, settings[1], token, undisturbed),
        started(undisturbed(_GATEWAY_CORE, script("copier", copier, upstream)), dict(os.environ)),
    ):
        url, warm_up = settings[0].url, ours.warm_up_seconds
        load(process_id, url, token, seconds=warm_up, connections=32, core=_OTHER_CORE)
        ports = {
            "the upstream alone": upstream,
            "through the gateway": settings[0].port,
            "through nginx": settings[1].port,
            "through a copier of bytes": copier,
        }
        found = half_load.take_turns(
            ports, token, per_second=capacity / 2, seconds=seconds, turns=turns, core=_OTHER_CORE
        )
    return half_load.table(found, capacity / 2)


def peers_table(results: dict[str, list[tuple[Sample, float, float]]]) -> list[str]:
    """Markdown, as it goes into the documentation."""
    does = {peer.name: peer.does for peer in PEERS}
    lines = [
        "| gateway | checks | CPU us/request | spread | req/s | p50 ms | p99 ms | RSS MiB idle, loaded |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, rounds in results.items():
        samples = [sample for sample, _, _ in rounds]
        if any(sample.errors for sample in samples):
            raise SystemExit(f"{name}: {sum(sample.errors for sample in samples)} errors; not a measurement")
        cpu = [sample.cpu_microseconds for sample in samples]
        lines.append(
            f"| {name} | {does[name]} | {statistics.median(cpu):.0f} | {min(cpu):.0f}-{max(cpu):.0f} "
            f"| {statistics.median(s.requests_per_second for s in samples):.0f} "
            f"| {statistics.median(s.p50_ms for s in samples):.1f} "
            f"| {statistics.median(s.p99_ms for s in samples):.1f} "
            f"| {rounds[0][1]:.0f}, {rounds[-1][2]:.0f} |"
        )
    return [*lines, *ratios(results)]


def ratios(results: dict[str, list[tuple[Sample, float, float]]]) -> list[str]:
    """How many times the gateway's CPU time each other takes: the medians over the rounds' own ratios."""
    ours = results.get(PEERS[0].name)
    if ours is None:
        return []
    lines = [""]
    for name, rounds in results.items():
        if rounds is not ours:
            pairs = zip(rounds, ours, strict=True)
            found = sorted(its.cpu_microseconds / own.cpu_microseconds for (its, *_), (own, *_) in pairs)
            lines.append(
                f"- {name}: {statistics.median(found):.2f} times the gateway's CPU time per request "
                f"({found[0]:.2f} to {found[-1]:.2f})."
            )
    return lines


def hot_path_table() -> list[str]:
    """What `hot_path.py` prints."""
    command = [sys.executable, str(_HERE / "gateway/hot_path.py")]
    done = subprocess.run(pinned(_GATEWAY_CORE, command), capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def main() -> None:
    """Measure the peers that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=[peer.name for peer in PEERS])
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    arguments = parser.parse_args()
    if arguments.write and arguments.only:
        parser.error("a table of some peers does not go into the documentation")
    peers = [peer for peer in PEERS if arguments.only is None or peer.name in arguments.only]
    require(peers)
    results: dict[str, list[tuple[Sample, float, float]]] = {peer.name: [] for peer in peers}
    tables: dict[str, list[str]] = {}
    issuer = Issuer()
    token = issuer.token("alice")
    with tempfile.TemporaryDirectory() as directory, redis_process() as redis:
        upstream, collector = free_port(), free_port()

        def setting() -> Setting:
            return Setting(
                Path(directory), free_port(), upstream, redis.port, collector, issuer.environment()
            )

        with behind("upstream", upstream, pinned), behind("collector", collector, pinned):
            for _ in range(arguments.rounds):
                for peer in peers:
                    results[peer.name].append(measure(peer, setting(), token, arguments.seconds))
        tables["peers"] = peers_table(results)
        if PEERS[0] in peers:
            rounds = results[PEERS[0].name]
            capacity = statistics.median(sample.requests_per_second for sample, *_ in rounds)
            tables["half load"] = measure_half_load(
                (setting(), setting()),
                token,
                capacity=capacity,
                seconds=arguments.seconds,
                turns=_TURNS_PER_ROUND * arguments.rounds,
            )
            tables["hot path"] = hot_path_table()
    issuer.close()
    tables["circumstances"] = [document.circumstances()]
    for lines in tables.values():
        print("\n".join((*lines, "")))
    if arguments.write:
        document.write(tables)


if __name__ == "__main__":
    main()
