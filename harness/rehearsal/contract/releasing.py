"""What is committed becomes what was released: `nox -s release`.

Documents and expectations replace those of the last release. An event's schema is added to its releases where
it differs from the last one, because records outlive releases. Each released file is listed with its digest;
where one is not as the list has it nothing is released, for that would hide it.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from rehearsal.contract.committed import FOLDER
from rehearsal.contract.keeping import FOLDER as RELEASED
from rehearsal.contract.keeping import (
    WITHDRAWN,
    Listed,
    UnreadableError,
    changes,
    event_of,
    read_list,
    there,
    write_list,
)
from rehearsal.core.errors import ConfigurationError, RehearsalError

_EVENT = ".schema.json"


def release(root: Path) -> list[str]:
    """Release a checkout's contracts, and return what was written or removed, below contract-tests/.

    Raises ConfigurationError where a released file is not as it was released.
    """
    folder = root / FOLDER
    listed = _untouched(folder)
    changed = [name for kind in ("openapi", "consumers") for name in _replace(folder, kind)]
    for path in sorted(folder.glob(f"events/*{_EVENT}")):
        changed += _add(folder, path, listed)
    write_list(folder, listed)
    return changed


def withdraw(root: Path, release_of_event: str) -> str:
    """Withdraw a release of an event, `<type>/<number>`, and return its file's name below contract-tests/.

    Raises ConfigurationError where there is none, or a released file is not as it was released.
    """
    folder = root / FOLDER
    listed = _untouched(folder)
    name = f"events/{release_of_event}{_EVENT}"
    if listed.get(name, WITHDRAWN) == WITHDRAWN:
        raise ConfigurationError(
            "RELEASE_UNKNOWN",
            f"there is no release {release_of_event} of an event",
            hint="Name it as <type>/<number>: com.mambogo.order.placed.v1/1.",
        )
    path = folder / RELEASED / name
    path.unlink()
    if not any(path.parent.iterdir()):
        path.parent.rmdir()
    write_list(folder, {**listed, name: WITHDRAWN})
    return f"{RELEASED}/{name}"


def _untouched(folder: Path) -> Listed:
    found = there(folder)
    try:
        # Nothing is listed before the first release.
        listed = read_list(folder) if found or (folder / RELEASED).exists() else {}
    except UnreadableError as error:
        raise _changed(str(error)) from error
    for one in changes(listed, found):
        raise _changed(f"{one.name}: {one.sentence}")
    return listed


def _changed(why: str) -> ConfigurationError:
    return ConfigurationError(
        "RELEASES_CHANGED",
        why,
        hint="`git restore contract-tests/released` brings back what was committed.",
    )


def _add(folder: Path, path: Path, listed: Listed) -> list[str]:
    name = path.name.removesuffix(_EVENT)
    releases = folder / RELEASED / "events" / name
    numbers = {
        event[1]: said for file, said in listed.items() if (event := event_of(file)) and event[0] == name
    }
    last = max((number for number, said in numbers.items() if said != WITHDRAWN), default=None)
    if last is not None and (releases / f"{last}{_EVENT}").read_bytes() == path.read_bytes():
        return []
    releases.mkdir(parents=True, exist_ok=True)
    added = releases / f"{max(numbers, default=0) + 1}{_EVENT}"
    shutil.copyfile(path, added)
    return [str(added.relative_to(folder))]


def _replace(folder: Path, kind: str) -> list[str]:
    target = folder / RELEASED / kind
    target.mkdir(parents=True, exist_ok=True)
    committed = {path.name: path.read_bytes() for path in (folder / kind).glob("*.json")}
    released = {path.name: path.read_bytes() for path in target.glob("*.json")}
    for name in released.keys() - committed.keys():
        (target / name).unlink()
    changed = sorted(name for name in committed if committed[name] != released.get(name))
    for name in changed:
        (target / name).write_bytes(committed[name])
    return [f"{RELEASED}/{kind}/{name}" for name in (*changed, *sorted(released.keys() - committed.keys()))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Release the checkout in the current directory, or withdraw a release of an event."""
    parser = argparse.ArgumentParser(prog="nox -s release --", description=__doc__)
    parser.add_argument("--withdraw", metavar="TYPE/NUMBER", help="take this release of an event back")
    withdrawn = parser.parse_args(arguments).withdraw
    try:
        names = [withdraw(Path.cwd(), withdrawn)] if withdrawn else release(Path.cwd())
    except RehearsalError as error:
        sys.stderr.write(f"error: {error.message}\n  code: {error.code}\n  next: {error.hint}\n")
        return error.exit_code
    for name in names or ["nothing has changed"]:
        print(name)  # noqa: T201 - a command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
