"""Kubeconfig files: the project's own, and the context in the user's.

The project's own file holds one context and nothing else; it can be written anew at any time. In the user's
file only the entries of that name are touched, and the current context only when asked. A file that cannot be
read is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_SECTIONS = ("clusters", "users", "contexts")


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
    except OSError as error:
        raise UnreadableKubeconfigError(str(error)) from error
    try:
        parsed = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableKubeconfigError(str(error)) from error
    if parsed is None:
        return {}
    if not isinstance(parsed, dict):
        raise UnreadableKubeconfigError("it is not a mapping")
    return parsed


def write(path: Path, content: Mapping[str, Any]) -> None:
    """Write a kubeconfig atomically, readable by its owner only."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        yaml.safe_dump(dict(content), file, sort_keys=False)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def usable(path: Path, context: str) -> bool:
    """Return whether a file has a complete context of that name."""
    try:
        content = read(path)
    except UnreadableKubeconfigError:
        return False
    return all(_entry(content, section, context) for section in _SECTIONS)


def merged(content: Mapping[str, Any], own: Mapping[str, Any], context: str, *, use: bool) -> dict[str, Any]:
    """Return `content` with the entries of `context` taken from `own`; everything else as it was."""
    result: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", **content}
    for section in _SECTIONS:
        others = [one for one in content.get(section) or [] if one.get("name") != context]
        result[section] = [*others, _entry(own, section, context)]
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
    """Return whether `context` in `content` is absent or is the cluster of `own`, thus may be replaced."""
    theirs = _entry(content, "clusters", context)
    if not theirs:
        return True
    mine = _entry(own, "clusters", context)
    return bool(mine) and _authority(theirs) == _authority(mine)


def _authority(entry: Mapping[str, Any]) -> object:
    cluster = entry.get("cluster") or {}
    return cluster.get("certificate-authority-data")


def _entry(content: Mapping[str, Any], section: str, name: str) -> dict[str, Any]:
    return next((one for one in content.get(section) or [] if one.get("name") == name), {})
