"""``infra/bench NAME``: one module per benchmark, run by name."""

from tests.bench.registry import BENCHES, OPTIONS, run

__all__ = ["BENCHES", "OPTIONS", "run"]
