"""Kubeconfig files: the project's own, and the context in the user's.

The project's own file holds one context and nothing else; it can be written anew at any time. In the user's
file only entries that the project made are touched, and the current context only when asked. A file that
cannot be read is left as it is.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rehearsal.core.errors import ConfigurationError
from rehearsal.core.processes import ProcessFailedError, run

_PEM_END = re.compile(rb"-----END [A-Z ]+-----\s*\Z")
_KUBECTL_SECONDS = 30.0
_SECTIONS = ("clusters", "users", "contexts")
# Says in the user's file whose an entry is: its name alone does not, and each cluster has another authority.
_MARK = {"name": "dev.mambogo.rehearsal", "extension": {"provider": "mambogo-rehearsal"}}


class UnreadableKubeconfigError(Exception):
    """The file is there, and is not a kubeconfig."""


def users_file() -> Path:
    """Return the kubeconfig that kubectl would write to."""
    named = os.environ.get("KUBECONFIG", "")
    first = next((part for part in named.split(os.pathsep) if part), "")
    return Path(first) if first else Path.home() / ".kube" / "config"


def read(path: Path) -> dict[str, Any]:
    """Return a kubeconfig; an empty one when there is no file. Raises UnreadableKubeconfigError."""
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableKubeconfigError(str(error)) from error
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableKubeconfigError(str(error)) from error
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise UnreadableKubeconfigError("it is not a mapping")
    for section in _SECTIONS:
        entries = parsed.get(section) or []
        if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
            raise UnreadableKubeconfigError(f"{section} is not a list of entries")
    return parsed


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a kubeconfig atomically, readable by its owner only."""
    import yaml

    path = path.resolve()  # a link stays a link
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(dict(content), file, sort_keys=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def copy(kubectl: Path, source: Path | None, context: str, target: Path) -> None:
    """Write a kubeconfig with one context of another, its certificates and keys within it, as current.

    Without `source` the one that kubectl would read. Raises ConfigurationError when it has no such context.
    """
    argv = [str(kubectl), "config", "view", "--minify", "--flatten", "--raw", "--output=json"]
    argv.append(f"--context={context}")
    environment = {**os.environ, **({"KUBECONFIG": str(source)} if source else {})}
    try:
        found = run(argv, timeout_seconds=_KUBECTL_SECONDS, env=environment).output
    except ProcessFailedError as error:
        raise ConfigurationError(
            "CONTEXT_UNKNOWN",
            f"{source or users_file()} has no context {context!r}: {error.tail.strip()}",
            hint="`kubectl config get-contexts` lists what there is; `kubeconfig` in rehearsal.toml, "
            f"[contexts.{context}], names another file.",
        ) from error
    # What kubectl warns of stands around it.
    content, _ = json.JSONDecoder().raw_decode(found, found.index("{\n"))
    write(target, content)


def clear(path: Path) -> None:
    """Remove an own file, and the lock beside it that a killed kind leaves behind and then stumbles over."""
    path.unlink(missing_ok=True)
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def usable(path: Path, context: str) -> bool:
    """Return whether a file has a complete context of that name.

    A file that was cut off may still be YAML; then a certificate or the key lacks its end, or is not there.
    """
    try:
        content = read(path)
    except UnreadableKubeconfigError:
        return False
    wiring = _mapping(_entry(content, "contexts", context).get("context"))
    if not _cluster(content, context) or {wiring.get("cluster"), wiring.get("user")} != {context}:
        return False
    user = _mapping(_entry(content, "users", context).get("user"))
    proven = bool(user.get("token")) or "client-key-data" in user
    inline = {**_cluster(content, context), **user}
    return proven and all(_is_pem(value) for name, value in inline.items() if name.endswith("-data"))


def _is_pem(data: object) -> bool:
    try:
        return _PEM_END.search(b64decode(str(data), validate=True)) is not None
    except ValueError:
        return False


def merged(content: Mapping[str, Any], own: Mapping[str, Any], context: str, *, use: bool) -> dict[str, Any]:
    """Return `content` with the entries of `context` taken from `own` and marked; all else as it was."""
    result: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **content}
    for section in _SECTIONS:
        entry = _entry(own, section, context)
        if section == "clusters":
            entry = {**entry, "cluster": {**(entry.get("cluster") or {}), "extensions": [_MARK]}}
        result[section] = _with(content.get(section) or [], entry)
    if use:
        result["current-context"] = context
    return result


def without(content: Mapping[str, Any], context: str) -> dict[str, Any]:
    """Return `content` without the entries of `context`."""
    result = dict(content)
    for section in _SECTIONS:
        if section in result:
            result[section] = [one for one in result[section] or [] if one.get("name") != context]
    if result.get("current-context") == context:
        result["current-context"] = ""
    return result


def belongs(content: Mapping[str, Any], own: Mapping[str, Any], context: str) -> bool:
    """Return whether `context` in `content` may be replaced: absent, marked, or `own`'s own cluster."""
    theirs = _cluster(content, context)
    if not theirs or _MARK in (theirs.get("extensions") or []):
        return True
    authority = _cluster(own, context).get("certificate-authority-data")
    return authority is not None and theirs.get("certificate-authority-data") == authority


def _cluster(content: Mapping[str, Any], context: str) -> dict[str, Any]:
    return _mapping(_entry(content, "clusters", context).get("cluster"))


def _with(entries: Sequence[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries with the one of this name replaced where it stands, or added at the end."""
    same = [one.get("name") == entry["name"] for one in entries]
    if not any(same):
        return [*entries, entry]
    return [entry if there else one for one, there in zip(entries, same, strict=True)]


def _entry(content: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    entries = content.get(section)
    found = map(_mapping, entries if isinstance(entries, list) else [])
    return next((one for one in found if one.get("name") == name), {})


def _mapping(value: object) -> dict[str, Any]:
    """Return a value of a file that may be damaged, or nothing."""
    return value if isinstance(value, dict) else {}
