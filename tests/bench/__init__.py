"""``infra/bench NAME``: one module a benchmark, run by name."""

from tests.bench.registry import BENCHES, OPTIONS, run

__all__ = ["BENCHES", "OPTIONS", "run"]
