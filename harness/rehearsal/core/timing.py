"""The two paces of the HPA's controller.

Apart from the catalogue, whose schema takes long to import: the command line names the paces before that.
"""

from __future__ import annotations

from enum import StrEnum


class Timing(StrEnum):
    """How fast the HPA's controller runs; a property of the cluster, fixed when it is made."""

    PRODUCTION = "production"
    COMPRESSED = "compressed"
