"""Run the same benchmark at an earlier commit, alternating with the present one, to compare them on one machine."""

import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from api.cli.output import Failure, say

__all__ = ["against"]

_ROOT = Path(__file__).resolve().parents[2]
_WITHIN_S = 3_600
_CLEANS_UP_S = 60
_OWN = "import sys; sys.argv[0] = 'vitaltwin'; from api.cli import main; main()"
"""How to start a benchmark at commits where it was a command of the program."""


def against(commit: str, name: str, options: Sequence[str], runs: int) -> dict[str, Any]:
    """Run ``name`` here and at ``commit``, alternating; returns medians of both and their ratio, this one by the other.

    The other commit is in its own working tree, removed afterwards, and runs with the present libraries.

    Raises:
        Failure: there is no such commit, or a run failed.
    """
    with _tree(commit) as other:
        figures: dict[Path, list[dict[str, float]]] = {_ROOT: [], other: []}
        for number in range(runs):
            for tree, found in figures.items():
                say(f"run {number + 1} of {runs}: {'here' if tree == _ROOT else commit}")
                found.append(_flat(_run(tree, name, options)))
    here, there = (_medians(found) for found in figures.values())
    return {
        "commit": commit,
        "runs": runs,
        "here": here,
        "there": there,
        "ratio": {key: here[key] / there[key] for key in here if there.get(key)},
        "ratios": {
            key: [
                one[key] / two[key] for one, two in zip(*figures.values(), strict=True) if two.get(key) and key in one
            ]
            for key in here
            if there.get(key)
        },
    }


@contextlib.contextmanager
def _tree(commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vitaltwin-against-") as folder:
        tree = Path(folder) / "tree"
        made = _git("worktree", "add", "--quiet", "--detach", str(tree), commit)
        if made.returncode:
            raise Failure(f"{commit} cannot be checked out here: {made.stderr.strip()}")
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=False)


def _run(tree: Path, name: str, options: Sequence[str]) -> dict[str, Any]:
    moved = (tree / "tests" / "bench" / "__main__.py").exists()
    # A shell starts what it runs in the background deaf to SIGINT, and a process inherits that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    program = ["-m", "tests.bench"] if moved else ["-c", _OWN, "bench"]
    with subprocess.Popen(
        [sys.executable, *program, name, "--json", *options], cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
    ) as running:  # fmt: skip
        try:
            printed, _ = running.communicate(timeout=_WITHIN_S)
        except BaseException:
            _end(running)
            raise
    if running.returncode:
        raise Failure(f"the benchmark failed in {tree}; its output is above")
    figures: dict[str, Any] = msgspec.json.decode(printed)
    return figures


def _end(running: subprocess.Popen[bytes]) -> None:
    """Interrupt a benchmark, so that it ends the services it has started; commits of any age understand that."""
    running.send_signal(signal.SIGINT)
    try:
        running.communicate(timeout=_CLEANS_UP_S)
    except subprocess.TimeoutExpired:
        running.kill()


def _flat(figures: dict[str, Any], prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.") if key != "machine" else {}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            flat[f"{prefix}{key}"] = float(value)
    return flat


def _medians(found: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(one[key] for one in found if key in one) for key in found[0]}
