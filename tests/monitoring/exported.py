"""Which metrics Prometheus can know: read from what exports them, as far as that is in this repository.

Our services' are found in their source by the calls that declare them, Kafka's follow from its agent's
configuration. For everything else `exported.toml` has names, and the scrape configuration what it keeps.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import yaml

_ROOT = Path(__file__).parents[2]
_CONFIGURATION = _ROOT / "k8s" / "base" / "monitoring" / "prometheus-config.yaml"
# What declares a metric, and the suffixes that its series have.
_SUFFIXES = {
    "counter": ("_total",),
    "countermetricfamily": ("_total",),
    "gauge": ("",),
    "gauge_callback": ("",),
    "gaugemetricfamily": ("",),
    "histogram": ("_bucket", "_sum", "_count"),
}


def is_exported(name: str) -> bool:
    """Return whether anything exports a metric of this name."""
    return name in of_services() or name in of_others() or any(one.fullmatch(name) for one in of_kafka())


@cache
def of_services() -> frozenset[str]:
    """Return the series' names that the services' source declares."""
    sources = (path for path in (_ROOT / "services").rglob("*.py") if "src" in path.parts)
    return frozenset(name for path in sources for name in declared(path.read_text(encoding="utf-8")))


def declared(source: str) -> Iterator[str]:
    """Yield the names of the series that a module's calls declare."""
    tree = ast.parse(source)
    looped = dict(_looped(tree))
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and call.args):
            continue
        called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        for name in _texts(call.args[0], looped):
            for suffix in _SUFFIXES.get(called.lstrip("_").lower(), ()):
                yield name.removesuffix("_total") + suffix


def _texts(argument: ast.expr, looped: dict[str, list[str]]) -> list[str]:
    if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
        return [argument.value]
    return looped.get(argument.id, []) if isinstance(argument, ast.Name) else []


def _looped(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Yield the first variable of each loop over written rows, with the texts that it takes."""
    for loop in ast.walk(tree):
        match loop:
            case ast.For(target=ast.Tuple(elts=[ast.Name(id=variable), *_]), iter=ast.Tuple(elts=rows)):
                texts = [row.elts[0] for row in rows if isinstance(row, ast.Tuple)]
                yield variable, [str(one.value) for one in texts if isinstance(one, ast.Constant)]


@cache
def of_kafka() -> tuple[re.Pattern[str], ...]:
    """Return what matches the names that the broker's agent makes of the beans that it may read."""
    agent = yaml.safe_load((_ROOT / "images" / "kafka" / "metrics.yml").read_text())
    return tuple(_of_bean(bean) for bean in agent["includeObjectNames"])


def _of_bean(bean: str) -> re.Pattern[str]:
    """Return the names by the agent's two rules; a bean with a request has the attribute in its name."""
    domain, _, rest = bean.partition(":")
    properties = dict(one.split("=") for one in rest.split(","))
    words = [*domain.split("."), properties["type"], properties["name"].replace("*", r"[a-z]+")]
    if "request" in properties:
        words.append("(count|99thpercentile)")
    return re.compile("_".join(words).lower())


@cache
def of_others() -> frozenset[str]:
    """Return the names that are listed because their programs are not in this repository."""
    return frozenset(name for names in listed().values() for name in names)


@cache
def listed() -> dict[str, list[str]]:
    """Return the lists by the job or the program that exports them."""
    found: dict[str, list[str]] = tomllib.loads((Path(__file__).parent / "exported.toml").read_text())
    return found


def kept_by(job: str) -> re.Pattern[str]:
    """Return what a job's scrape keeps of the names that it sees."""
    files = yaml.safe_load(_CONFIGURATION.read_text())["data"]
    jobs = yaml.safe_load(files["corrected-scrape.yml"])["scrape_configs"]
    (found,) = (one for one in jobs if one["job_name"] == job)
    keeping = next(one for one in found["metric_relabel_configs"] if one["source_labels"] == ["__name__"])
    return re.compile(keeping["regex"])
