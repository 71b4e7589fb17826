"""Edit to live: from the moment an editor saves one line until every replica answers with it.

    python bench/edit_to_live.py editors      # the echo service, by four ways in which editors save
    python bench/edit_to_live.py services     # each of the shop's services, in the stack that `tilt up` runs

The echo service is polled at its NodePort with a new connection each time, as a developer's browser would,
until each pod has answered with the new version text; the ways are taken in turn, so that each meets the same
machine. It uses the `tilt up` that runs, or else brings cluster and Tilt up itself. The services show a text
of theirs: the title of their document, and the gateway what it says of a path that nobody serves; each pod is
asked for it through the API server. They need `tilt up` with the whole stack.

The tables go into docs/benchmarks/. A run in which a pod was replaced is refused: Tilt then rebuilt the image
instead of updating the pods, and the number would be that of something else.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ground import tables
from ground.measuring import ROOT, machine, rehearsal, until
from ground.pods import Pods

_SOURCE = ROOT / "services/echo/src/mambogo_echo/version.py"
_POLL_SECONDS = 0.01  # the resolution of the result
_LIMIT_SECONDS = 60.0  # far above a rebuild: a slow edit is a result, not an error
_SETTLE_SECONDS = (
    1.5  # between edits: readiness is probed each second, and Tilt must have seen the last one end
)
_TARGET_SECONDS = 1.3
_SERVICE_TARGET_SECONDS = 1.8  # of issue "Production's whole stack"


@dataclass(frozen=True, slots=True)
class Shown:
    """A text of a service that each of its pods shows."""

    source: str  # file, below services/
    text: str  # as it stands there, once
    path: str  # where a pod shows it


SERVICES = {
    "gateway-service": Shown(
        "gateway/src/mambogo_gateway/errors.py", "No service answers at this path.", "/served-by-nobody"
    ),
    "product-service": Shown("product/src/mambogo_product/wiring.py", '"Products"', "/openapi.json"),
    "cart-service": Shown("cart/src/mambogo_cart/main.py", '"Carts"', "/openapi.json"),
    "order-service": Shown("order/src/mambogo_order/main.py", '"Orders"', "/openapi.json"),
    "payment-service": Shown("payment/src/mambogo_payment/main.py", '"Payments"', "/openapi.json"),
    "inventory-service": Shown("inventory/src/mambogo_inventory/main.py", '"Inventory"', "/openapi.json"),
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What one replica said."""

    pod: str
    version: str


def ask(port: int) -> Answer | None:
    """Return one replica's answer over a new connection; None while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        told = json.loads(connection.getresponse().read())
        return Answer(told["pod"], told["version"])
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def replicas(port: int, wanted: int) -> set[str]:
    """Return the names of the pods that answer, when there are `wanted`; else an empty set."""
    found: set[str] = set()
    for _ in range(wanted * 40):  # with fair balancing, the chance to miss one of two is 2^-80
        answer = ask(port)
        if answer is None:
            return set()
        found.add(answer.pod)
    return found if len(found) == wanted else set()


@contextmanager
def live_service(port: int, wanted: int) -> Iterator[set[str]]:
    """Give the pods of the running service; Tilt is started for it, and ended again, where none runs."""
    if found := replicas(port, wanted):
        yield found
        return
    rehearsal("cluster", "up")
    command = [sys.executable, "-m", "rehearsal", "up", "echo"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as tilt:
        try:
            until("the echo service", lambda: bool(replicas(port, wanted)))
            yield replicas(port, wanted)
        finally:
            tilt.send_signal(signal.SIGINT)


def in_place(path: Path, text: str) -> None:
    """Save as nano does: the same file, truncated and written."""
    path.write_text(text, encoding="utf-8")


def by_backup(path: Path, text: str) -> None:
    """Save as vim does by default: probe the folder by a file 4913, move the old file away, write anew."""
    probe, backup = path.with_name("4913"), path.with_name(f"{path.name}~")
    probe.touch()
    probe.unlink()
    path.rename(backup)
    path.write_text(text, encoding="utf-8")
    backup.unlink()


def by_rename(path: Path, text: str) -> None:
    """Save as JetBrains and atomic writers do: a temporary file beside it, renamed over it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".swp")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    part = Path(name)
    part.chmod(path.stat().st_mode)
    part.rename(path)


def by_sed(path: Path, text: str) -> None:
    """Save as `sed -i` does: its own temporary name, and a rename."""
    line = next(one for one in text.splitlines() if one.startswith("VERSION"))
    subprocess.run(["sed", "-i", f"s|^VERSION = .*|{line}|", str(path)], check=True)  # noqa: S607 - any sed will do


EDITORS: dict[str, Callable[[Path, str], None]] = {
    "written in place": in_place,
    "backup, written anew": by_backup,
    "temporary file, renamed": by_rename,
    "sed -i": by_sed,
}


def measure(save: Callable[[], None], look: Callable[[set[str]], str | None], pods: set[str]) -> float:
    """Save an edit and return the seconds until every pod has shown it.

    `look` is given the pods that have not shown it yet, and returns one that does now.
    """
    missing = set(pods)
    started = time.monotonic()
    save()
    while missing:
        if time.monotonic() - started > _LIMIT_SECONDS:
            raise SystemExit(f"not live within {_LIMIT_SECONDS:.0f} s on {', '.join(sorted(missing))}")
        if (pod := look(missing)) is not None:
            if pod not in pods:
                raise SystemExit(f"{pod} is new: Tilt rebuilt the image instead of updating the pods")
            missing.discard(pod)
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started


@contextmanager
def restored(path: Path) -> Iterator[str]:
    """Give the file's text, and write it back in the end."""
    text = path.read_text(encoding="utf-8")
    try:
        yield text
    finally:
        path.write_text(text, encoding="utf-8")


def edited(original: str, version: str) -> str:
    """Return the source with another version text; one line differs."""
    lines = original.splitlines(keepends=True)
    return "".join(f'VERSION = "{version}"\n' if line.startswith("VERSION") else line for line in lines)


def measure_editors(edits: int, wanted: int) -> None:
    """Measure all ways of saving with the echo service, and write the table."""
    port = tomllib.loads((ROOT / "rehearsal.toml").read_text(encoding="utf-8"))["ports"]["echo"]
    about = machine()
    results: dict[str, list[float]] = {name: [] for name in EDITORS}
    with restored(_SOURCE) as original, live_service(port, wanted) as pods:
        for number in range(edits):
            for at, (name, save) in enumerate(EDITORS.items()):
                time.sleep(_SETTLE_SECONDS)
                version = f"{os.getpid()}-{number}-{at}"

                def look(missing: set[str], version: str = version) -> str | None:
                    answer = ask(port)
                    return answer.pod if answer is not None and answer.version == version else None

                text = edited(original, version)
                results[name].append(measure(lambda save=save, text=text: save(_SOURCE, text), look, pods))
    text = f"{about}; {wanted} replicas.\n\n{table('editor', results, _TARGET_SECONDS)}"
    tables.refresh(ROOT / "docs/benchmarks/ground.md", "edit to live", text)


def measure_services(edits: int) -> None:
    """Measure each of the shop's services, and write the table."""
    about = machine()
    results: dict[str, list[float]] = {}
    with Pods("mambogo-production") as seen:
        for name, shown in SERVICES.items():
            source = ROOT / "services" / shown.source
            pods = seen.ready(name)
            label = f"{name}, {len(pods)} pod{'s' * (len(pods) > 1)}"
            if not pods:
                raise SystemExit(
                    f"{name} has no pod that is ready: start `tilt up` with the whole stack first"
                )
            with restored(source) as original:
                if original.count(shown.text) != 1:
                    raise SystemExit(f"{source} does not say {shown.text} once")
                results[label] = [
                    _edit_service(seen, source, shown, original, pods, f"{os.getpid()}-{number}")
                    for number in range(edits)
                ]
            _wait_for_original(seen, shown, pods)
            if gone := pods - seen.ready(name):
                raise SystemExit(f"{', '.join(gone)} was replaced meanwhile")
    text = f"{about}.\n\n{table('service', results, _SERVICE_TARGET_SECONDS)}"
    tables.refresh(ROOT / "docs/benchmarks/stack.md", "edits", text)


def _edit_service(
    seen: Pods, source: Path, shown: Shown, original: str, pods: set[str], version: str
) -> float:
    time.sleep(_SETTLE_SECONDS)
    marked = original.replace(shown.text, re.sub(r"(?=\W?$)", f" {version}", shown.text, count=1))

    def look(missing: set[str]) -> str | None:
        return next((pod for pod in sorted(missing) if version in seen.said(pod, shown.path)), None)

    return measure(lambda: by_rename(source, marked), look, pods)


def _wait_for_original(seen: Pods, shown: Shown, pods: set[str]) -> None:
    text = shown.text.strip('"')
    measure(
        lambda: None,
        lambda missing: next((pod for pod in missing if text in seen.said(pod, shown.path)), None),
        pods,
    )


def table(what: str, results: dict[str, list[float]], target_seconds: float) -> str:
    """Return medians and extremes as Markdown."""
    rows = []
    for name, seconds in results.items():
        within = sum(one <= target_seconds for one in seconds)
        times = [f"{one:.2f} s" for one in (statistics.median(seconds), min(seconds), max(seconds))]
        rows.append([name, str(len(seconds)), *times, f"{within} of {len(seconds)}"])
    header = (what, "edits", "median", "fastest", "slowest", f"within {target_seconds} s")
    return tables.markdown(header, rows)


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description="Measures edit to live under `tilt up`.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("editors")
    one.add_argument("--edits", type=int, default=8, help="edits for each way of saving")
    one.add_argument("--replicas", type=int, default=2)
    two = commands.add_parser("services")
    two.add_argument("--edits", type=int, default=8, help="edits of each service")
    options = parser.parse_args()
    if options.command == "editors":
        measure_editors(options.edits, options.replicas)
    else:
        measure_services(options.edits)


if __name__ == "__main__":
    main()
