"""Grafana's dashboards as they are committed: what one has to be, and what it asks Prometheus.

The model is what ours use of Grafana's schema (version 42), so that a misspelt field is refused and not
ignored. Which metrics there are is `tests.monitoring.exported`'s business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import promql_parser
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from tests.monitoring.exported import is_exported

FOLDER = Path(__file__).parents[2] / "k8s" / "overlays" / "local" / "monitoring" / "grafana" / "dashboards"
# What a panel shows that is about something which this service has not, but others have.
NOT_HERE = "not in this service"
SERVICES = tuple(
    f"{name}-service" for name in ("gateway", "product", "cart", "order", "payment", "inventory")
)
# Four scrapes, as Grafana gives a rate at least; and the time that a dashboard shows at first.
_FIXED = {"__rate_interval": "1m", "__range": "30m"}
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_LABEL_VALUES = re.compile(r"label_values\((.+), \w+\)")

Text = Annotated[str, Field(min_length=1)]
# Of the ids that Grafana has for units, those that ours use.
Unit = Literal["Bps", "bytes", "cps", "ms", "percentunit", "reqps", "s", "short"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)


class DataSource(_Model):
    """Prometheus, whichever the reader chooses."""

    type: Literal["prometheus"]
    uid: Literal["${datasource}"]


class Grid(_Model):
    """Where a panel is; a dashboard is 24 columns wide."""

    x: Annotated[int, Field(ge=0)]
    y: Annotated[int, Field(ge=0)]
    w: Annotated[int, Field(ge=1)]
    h: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def _fits(self) -> Grid:
        if self.x + self.w > 24:
            raise ValueError("it ends beyond the dashboard's right side")
        return self

    def overlaps(self, other: Grid) -> bool:
        """Return whether both cover a place."""
        beside = self.x + self.w <= other.x or other.x + other.w <= self.x
        return not (beside or self.y + self.h <= other.y or other.y + other.h <= self.y)


class Target(_Model):
    """One question of a panel."""

    ref_id: Annotated[str, Field(pattern="^[A-Z]$")]
    datasource: DataSource
    expr: Text
    legend_format: Text
    instant: bool = False
    range: bool = True


class Step(_Model):
    """From which value on a colour holds; the first one from everywhere."""

    color: Literal["green", "red"]
    value: float | None


class Thresholds(_Model):
    """Where a value becomes bad."""

    mode: Literal["absolute"]
    steps: Annotated[list[Step], Field(min_length=2)]


class Stacking(_Model):
    """Series one above the other."""

    group: Literal["A"]
    mode: Literal["normal"]


class Drawing(_Model):
    """How lines are drawn."""

    fill_opacity: int
    show_points: Literal["never"]
    stacking: Stacking | None = None
    thresholds_style: dict[Literal["mode"], Literal["line"]] | None = None


class Defaults(_Model):
    """How values are shown; what is shown when there are none says that there may be none."""

    unit: Unit
    min: float | None = None
    max: float | None = None
    decimals: int | None = None
    no_value: Text | None = None
    custom: Drawing | None = None
    color: dict[Literal["mode"], Literal["thresholds", "palette-classic"]] | None = None
    thresholds: Thresholds | None = None


class Fields(_Model):
    """The same for all series."""

    defaults: Defaults
    overrides: Annotated[list[str], Field(max_length=0)]


class Tooltip(_Model):
    """What the pointer shows."""

    mode: Literal["multi"]
    sort: Literal["desc"]


class Reduction(_Model):
    """Which value stands for a series."""

    calcs: list[Literal["lastNotNull"]]
    fields: Literal[""]
    values: Literal[False]


class Options(_Model):
    """Of lines a tooltip, of a single value where it is from."""

    tooltip: Tooltip | None = None
    graph_mode: Literal["none"] | None = None
    reduce_options: Reduction | None = None


class Panel(_Model):
    """A picture of what its targets ask."""

    id: Annotated[int, Field(ge=1)]
    type: Literal["timeseries", "stat"]
    title: Text
    description: Text | None = None
    datasource: DataSource
    grid_pos: Grid
    field_config: Fields
    options: Options
    targets: Annotated[list[Target], Field(min_length=1)]

    @model_validator(mode="after")
    def _is_unambiguous(self) -> Panel:
        _require_distinct("refId", [one.ref_id for one in self.targets])
        return self

    @property
    def when_empty(self) -> str | None:
        """What it shows without series; None when that would be a mistake."""
        return self.field_config.defaults.no_value


class Row(_Model):
    """A heading."""

    id: Annotated[int, Field(ge=1)]
    type: Literal["row"]
    title: Text
    collapsed: Literal[False]
    grid_pos: Grid
    panels: Annotated[list[str], Field(max_length=0)]


class SourceVariable(_Model):
    """The reader's choice of a Prometheus."""

    type: Literal["datasource"]
    name: Literal["datasource"]
    label: Text
    query: Literal["prometheus"]
    current: Annotated[dict[str, str], Field(max_length=0)]


class VariableQuery(_Model):
    """What a variable's values are asked by."""

    query: Annotated[str, Field(pattern=f"^{_LABEL_VALUES.pattern}$")]
    ref_id: Text


class Selection(_Model):
    """What is chosen at first."""

    selected: Literal[True]
    text: Text
    value: Text


class QueryVariable(_Model):
    """The reader's choice of a service."""

    type: Literal["query"]
    name: Literal["service"]
    label: Text
    datasource: DataSource
    definition: Text
    query: VariableQuery
    refresh: Literal[2]  # with the time range: services come and go
    sort: Literal[1]
    current: Selection


class Variables(_Model):
    """All choices of the reader."""

    list: list[Annotated[SourceVariable | QueryVariable, Field(discriminator="type")]]


class Link(_Model):
    """The way to the other dashboards."""

    type: Literal["dashboards"]
    title: Text
    tags: list[Literal["mambogo"]]
    as_dropdown: Literal[True]
    keep_time: Literal[True]


class Dashboard(_Model):
    """A page of panels."""

    uid: Annotated[str, Field(pattern="^mambogo-[a-z]+$", max_length=40)]
    title: Text
    description: Text
    tags: list[Literal["mambogo"]]
    schema_version: Literal[42]
    version: Literal[1]
    editable: Literal[False]
    graph_tooltip: Literal[1]  # one pointer in all panels
    refresh: Literal["15s"]  # as often as Prometheus scrapes
    timezone: Literal["browser"]
    time: dict[Literal["from", "to"], str]
    links: list[Link]
    templating: Variables
    panels: list[Annotated[Panel | Row, Field(discriminator="type")]]

    @model_validator(mode="after")
    def _holds_together(self) -> Dashboard:
        _require_distinct("id", [str(one.id) for one in self.panels])
        _require_distinct("title", [one.title for one in self.panels])
        for one, other in combinations(self.panels, 2):
            if one.grid_pos.overlaps(other.grid_pos):
                raise ValueError(f"{one.title!r} and {other.title!r} overlap")
        return self

    def pictures(self) -> Iterator[Panel]:
        """Yield its panels, without the headings."""
        yield from (one for one in self.panels if isinstance(one, Panel))

    def choices(self) -> tuple[str, ...]:
        """Return the services that a reader may choose; one empty choice where there is nothing to choose."""
        chosen = any(isinstance(one, QueryVariable) for one in self.templating.list)
        return SERVICES if chosen else ("",)

    def expressions(self) -> Iterator[str]:
        """Yield everything that is asked, variables included."""
        for one in self.pictures():
            yield from (target.expr for target in one.targets)
        for variable in self.templating.list:
            if isinstance(variable, QueryVariable):
                yield from _LABEL_VALUES.findall(variable.query.query)


def load(path: Path) -> Dashboard:
    """Return a dashboard; raises ValidationError with every field that is wrong."""
    return Dashboard.model_validate_json(path.read_text(encoding="utf-8"))


def fill_in(expression: str, service: str) -> str:
    """Return an expression as Grafana would send it; raises KeyError for a variable that nobody sets."""
    values = {**_FIXED, **({"service": service} if service else {})}
    return _VARIABLE.sub(lambda found: values[found[1] or found[2]], expression)


def faults_of(expression: str) -> list[str]:
    """Return why Prometheus would refuse a filled-in expression, or which of its metrics nobody exports."""
    try:
        parsed = promql_parser.parse(expression)
    except ValueError as error:
        return [f"{expression}: {error}"]
    names: set[str] = set()

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            names.add(node.name or "a selector without a name")

    promql_parser.walk(parsed, pre_visit=visit)
    return [f"nobody exports {name}" for name in sorted(names) if not is_exported(name)]


def _require_distinct(what: str, values: list[str]) -> None:
    repeated = {one for one in values if values.count(one) > 1}
    if repeated:
        raise ValueError(f"{what} is there more than once: {', '.join(sorted(repeated))}")
