"""Settings that all tests share."""

from __future__ import annotations

from hypothesis import settings

# No deadline: on a loaded machine an example may take its time. The count is enough for the small pure
# functions that are tested so; a larger one costs seconds in each run.
settings.register_profile("rehearsal", deadline=None, max_examples=50)
settings.load_profile("rehearsal")
