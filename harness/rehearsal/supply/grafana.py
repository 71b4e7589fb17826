"""Grafana's image: pulled, or left out.

It is not built here: no registry of packages has its server together with its pages
(docs/reference/dashboards.md says what was looked for).
"""

from __future__ import annotations

import os

from rehearsal.supply.image_engine import PullFailedError
from rehearsal.supply.images import LEFT_OUT, FunctionImage, ImageContext

NAME = "grafana"
_DISK_BYTES = 2 << 30  # a guess: its packed layers are a few hundred MB


def recipe(reference: str) -> FunctionImage:
    """Return the recipe; `reference` is what to pull, empty for never."""

    def make(context: ImageContext) -> str:
        if not reference:
            raise PullFailedError("Grafana", "images.grafana in rehearsal.toml is empty")
        return context.pulled(reference)

    return FunctionImage(
        name=NAME,
        version=reference.rpartition(":")[2] or "none",
        read_inputs=lambda: {"reference": reference, "machine": os.uname().machine},
        make_image=make,
        disk_bytes=_DISK_BYTES,
        sources=("pulled", LEFT_OUT),
    )
