"""``vitaltwin bench NAME``: one module a benchmark, run by name."""

from api.cli.bench.registry import BENCHES, OPTIONS, run

__all__ = ["BENCHES", "OPTIONS", "run"]
