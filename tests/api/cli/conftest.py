"""The program as a person runs it, with its own home folder."""

import subprocess
import sys

import pytest

PROGRAM = [sys.executable, "-c", "import sys; sys.argv[0] = 'vitaltwin'; from api.cli import main; main()"]


@pytest.fixture
def vitaltwin(home, tmp_path):
    def run(*arguments, timeout=60, **more):
        return subprocess.run(
            [*PROGRAM, *map(str, arguments)], env=home | more, cwd=tmp_path, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip

    return run


@pytest.fixture
def program():
    return PROGRAM
