"""What is committed becomes what was released: `nox -s release`.

Documents and expectations replace those of the last release. An event's schema is added to its releases where
it differs from the last one, because records outlive releases.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from rehearsal.contract.committed import FOLDER, RELEASED

_EVENT = ".schema.json"


def release(root: Path) -> list[str]:
    """Release a checkout's contracts, and return what was written or removed, below contract-tests/."""
    folder = root / FOLDER
    changed = [name for kind in ("openapi", "consumers") for name in _replace(folder, kind)]
    for path in sorted(folder.glob(f"events/*{_EVENT}")):
        releases = folder / RELEASED / "events" / path.name.removesuffix(_EVENT)
        numbers = sorted(int(one.name.removesuffix(_EVENT)) for one in releases.glob(f"*{_EVENT}"))
        last = releases / f"{numbers[-1]}{_EVENT}" if numbers else None
        if last is None or last.read_bytes() != path.read_bytes():
            releases.mkdir(parents=True, exist_ok=True)
            added = releases / f"{numbers[-1] + 1 if numbers else 1}{_EVENT}"
            shutil.copyfile(path, added)
            changed.append(str(added.relative_to(folder)))
    return changed


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


def main() -> None:
    """Release the checkout in the current directory."""
    for name in release(Path.cwd()) or ["nothing has changed"]:
        print(name)  # noqa: T201 - a command's output


if __name__ == "__main__":
    main()
