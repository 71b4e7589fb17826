"""Images that are used where they can be pulled and left out elsewhere: what was found out about them here.

A registry that is not in reach costs a time limit, so it is asked once for each reference. And who renders
the manifests must know without an engine what was prepared. So the answer is kept; asking is the supplies'
business.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE_NAME = "optional-images.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of one machine, kept in a folder."""

    folder: Path

    def refusal(self, name: str, key: str) -> str | None:
        """Return why an image was refused; empty when it was there, None when nobody asked for this one."""
        answer = self._read().get(name, {})
        return answer.get("refusal") if answer.get("key") == key else None

    def keep(self, name: str, key: str, refusal: str = "") -> None:
        """Keep an answer; an earlier one about another content of that name is forgotten."""
        answers = {**self._read(), name: {"key": key, "refusal": refusal}}
        self.folder.mkdir(parents=True, exist_ok=True)
        part = self.folder / f"{FILE_NAME}.{os.getpid()}.part"
        part.write_text(json.dumps(answers), encoding="utf-8")
        part.replace(self.folder / FILE_NAME)

    def _read(self) -> dict[str, dict[str, str]]:
        try:
            found: dict[str, dict[str, str]] = json.loads(
                (self.folder / FILE_NAME).read_text(encoding="utf-8")
            )
        except (OSError, ValueError):
            # Nobody has asked yet, or the file is damaged: the next one who prepares asks again.
            return {}
        return found
