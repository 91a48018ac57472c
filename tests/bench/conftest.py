"""Benchmarks as a person runs them, with their own home folder."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT


@pytest.fixture
def bench(home):
    def run(*arguments, timeout=300, **more):
        return subprocess.run(
            [sys.executable, "-m", "tests.bench", *map(str, arguments)], env=home | more, cwd=ROOT, capture_output=True,
            text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return run
