"""Breaks of the committed schemas of events, each at a type, and a field of its data, that are drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final

from rehearsal.detection.model import Cause, Family, Planted, PlantError
from rehearsal.detection.planting.documents import AREA, Json, write

FOLDER: Final = Path("contract-tests", "events")
TOPICS: Final = Path("k8s", "base", "jobs", "topics.yaml")
_SUFFIX: Final = ".schema.json"
_CHECKS: Final = frozenset({"contract.events", "contract.consumers"})
_BOUNDS: Final = ("maximum", "maxLength", "maxItems")

Break = Callable[[Json, Json, Random], str | None]  # the whole schema, that of its data


def field_lost(schema: Json, data: Json, random: Random) -> str | None:
    """Write no longer what was always there."""
    name = random.choice(data["required"])
    data["required"].remove(name)
    del data["properties"][name]
    return f"{name} no longer written"


def field_optional(schema: Json, data: Json, random: Random) -> str | None:
    """Write something only sometimes."""
    name = random.choice(data["required"])
    data["required"].remove(name)
    return f"{name} not always written"


def field_wanted(schema: Json, data: Json, random: Random) -> str | None:
    """Want a field that no record on the topic has."""
    data["properties"]["region"] = {"type": "string"}
    data["required"].append("region")
    return "region wanted, which no earlier record has"


def other_type(schema: Json, data: Json, random: Random) -> str | None:
    """Write a field in another type."""
    others = {"integer": "string", "string": "integer"}
    places = [name for name, one in sorted(data["properties"].items()) if one.get("type") in others]
    if not places:
        return None
    name = random.choice(places)
    data["properties"][name] = {"type": others[data["properties"][name]["type"]]}
    return f"{name} written in another type"


def widened(schema: Json, data: Json, random: Random) -> str | None:
    """Write twice as much as readers were told."""
    return _bound(data, random, lambda most: most * 2)


def narrowed(schema: Json, data: Json, random: Random) -> str | None:
    """Read half of what earlier records may have."""
    return _bound(data, random, lambda most: most // 2)


def moved(schema: Json, data: Json, random: Random) -> str | None:
    """Write it to another topic."""
    topics = ("inventory", "orders", "payments", "products")
    schema["x-topic"] = random.choice([one for one in topics if one != schema["x-topic"]])
    return f"written to {schema['x-topic']}"


_BREAKS: Final[tuple[tuple[str, str, Break], ...]] = (
    ("event-field-lost", "one field less", field_lost),
    ("event-field-optional", "one field optional", field_optional),
    ("event-field-wanted", "one required field more", field_wanted),
    ("event-field-type", "another type of one field", other_type),
    ("event-field-widened", "twice one bound", widened),
    ("event-field-narrowed", "half of one bound", narrowed),
    ("event-moved", "another topic", moved),
)


def families() -> tuple[Family, ...]:
    """Return a family for each kind of break, and those of whole types and topics."""
    drawn = tuple(
        Family(name, AREA, magnitude, "inspect", partial(plant, made=made))
        for name, magnitude, made in _BREAKS
    )
    return (
        *drawn,
        Family("event-type-removed", AREA, "one type of event", "inspect", remove_type),
        Family("topic-without-schema", AREA, "one topic more, of which no event has a schema", "inspect",
               add_topic),
    )  # fmt: skip


def plant(root: Path, random: Random, made: Break) -> Planted:
    """Make a break in a type drawn from all that it is possible in."""
    paths = _types(root)
    for path in random.sample(paths, len(paths)):
        schema = json.loads(path.read_text("utf-8"))
        data = schema["$defs"][schema["properties"]["data"]["$ref"].rpartition("/")[2]]
        if said := made(schema, data, random):
            write(path, schema)
            name = path.name.removesuffix(_SUFFIX)
            return Planted(f"{name}: {said}", Cause(_CHECKS, (name,)))
    raise PlantError(made.__name__, "no type of event has what it breaks")


def remove_type(root: Path, random: Random) -> Planted:
    """Take a type of event away."""
    path = random.choice(_types(root))
    path.unlink()
    name = path.name.removesuffix(_SUFFIX)
    return Planted(f"{name}: no longer written", Cause(_CHECKS, (name,)))


def add_topic(root: Path, random: Random) -> Planted:
    """Have a topic made of which nobody has said what is on it."""
    topic = random.choice(("refunds", "returns", "shipments", "reviews"))
    path = root / TOPICS
    before = path.read_text("utf-8")
    after = before.replace("orders, inventory,", f"orders, {topic}, inventory,")
    if after == before:
        raise PlantError("topic-without-schema", f"{TOPICS} has no list of topics that is known here")
    path.write_text(after, "utf-8")
    return Planted(f"{TOPICS} makes {topic}", Cause(frozenset({"contract.topics"}), (topic,)))


def _types(root: Path) -> list[Path]:
    return sorted((root / FOLDER).glob(f"*{_SUFFIX}"))


def _bound(data: Json, random: Random, change: Callable[[int], int]) -> str | None:
    places: list[tuple[str, Any, str]] = [
        (name, one, bound)
        for name, one in sorted(data["properties"].items())
        for bound in _BOUNDS
        if one.get(bound, 0) > 1
    ]
    if not places:
        return None
    name, one, bound = random.choice(places)
    one[bound] = change(one[bound])
    return f"{name} bounded by {bound} {one[bound]}"
