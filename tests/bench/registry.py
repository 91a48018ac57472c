"""Benchmarks by name. Each is a module of this package and is imported only when it runs."""

from collections.abc import Callable
from importlib import import_module, util
from typing import Any

from api.cli.output import Failure

__all__ = ["BENCHES", "OPTIONS", "run"]

Bench = Callable[..., dict[str, Any]]
"""A benchmark prints nothing to standard output and returns its figures; ``quick`` asks for a short run."""


def _late(module: str) -> Bench:
    def bench(*, quick: bool, **options: object) -> dict[str, Any]:
        name = f"tests.bench.{module}"
        if util.find_spec(name) is None:
            raise Failure(f"bench {module} is not part of this installation")
        figures: dict[str, Any] = import_module(name).run(quick=quick, **options)
        return figures

    return bench


BENCHES: dict[str, Bench] = {
    name: _late(name)
    for name in (
        "abuse",
        "alarms",
        "failover",
        "flood",
        "forecast",
        "history",
        "ingest",
        "kafka",
        "kernel",
        "latency",
        "live",
        "recovery",
        "replay_limits",
        "restore",
        "robustness",
        "start",
        "step",
    )
}
"""Name → benchmark; to add one, add a line here and a module with ``run(*, quick: bool) -> dict`` beside this one."""


OPTIONS: dict[str, tuple[str, ...]] = {
    "abuse": ("only",),
    "alarms": ("only", "place"),
    "failover": ("only", "runs"),
    "latency": ("runtime",),
    "restore": ("runs",),
}
"""Further options of some benchmarks."""


def run(name: str, *, quick: bool = False, **options: object) -> dict[str, Any]:
    """Run one benchmark; raises ``KeyError`` if there is none of that name."""
    return BENCHES[name](quick=quick, **options)
