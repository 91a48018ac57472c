"""``infra/bench kernel``: the C loop equals the kernels, prefetching changes nothing, and a short run."""

import json
import shutil

import numpy as np
import pytest

from api.cli.output import Failure
from tests.bench import kernel
from tests.conftest import require
from twins.bank import layout
from twins.compiled.prefetch import aligned
from twins.models.channel.model import update_rows
from twins.signals import SIGNALS


@pytest.fixture
def in_c(tmp_path):
    require(kernel.COMPILER, "apt-get install gcc")
    return kernel.compiled(tmp_path)


def walked(walk, readings, patients):
    state, status = np.zeros((patients, layout.STATE_WIDTH)), np.zeros(len(readings.rows), np.uint8)
    walk(state, layout.PARAMETERS, *readings, status)
    return state, status


def of_all_kinds(count=40_000, seed=3):
    """Readings of every followed signal: gaps from milliseconds to days, late and double ones, faults, ends of ranges."""
    rng = np.random.default_rng(seed)
    codes = np.array([signal.code for signal in SIGNALS if signal.filtered])
    rows = rng.integers(0, len(codes), count)
    signal = codes[rows].astype(np.uint16)
    sign = np.where(np.arange(count) // 2_000 % 2, 3.0, -1.0)
    value = layout.PARAMETERS[signal, layout.A_MEAN] + sign * np.sqrt(layout.PARAMETERS[signal, layout.A_S11])
    value += rng.normal(0.0, 1.0, count) * np.sqrt(layout.PARAMETERS[signal, layout.A_R])
    kind = rng.random(count)
    value = np.where(kind < 0.02, value * 1.8, value)
    value = np.where((kind > 0.02) & (kind < 0.03), 0.0, value)
    value = np.where((kind > 0.03) & (kind < 0.04), layout.PARAMETERS[signal, layout.A_TOP], value)
    value = np.where((kind > 0.04) & (kind < 0.05), layout.PARAMETERS[signal, layout.A_BELOW] - 1.0, value)
    value = np.where((kind > 0.05) & (kind < 0.055), np.nan, value)
    gap = 10.0 ** rng.uniform(-3.0, 2.0, count)
    gap[rng.random(count) < 0.001] = 3e5
    time = (np.cumsum(gap) * 1e6).astype(np.int64) + 1_700_000_000_000_000
    time[rng.random(count) < 0.02] -= 500_000_000
    readings = kernel.Readings(rows, signal, time, value)
    again = rng.integers(0, count - 1, 200)
    for column in readings:
        column[again + 1] = column[again]
    return readings, len(codes)


def test_c_does_the_same_work(in_c):
    readings, patients = of_all_kinds()
    state, status = walked(update_rows, readings, patients)
    assert set(status.tolist()) == {0, 1, 2, 3, 4, 8, 9}
    mirrored, status_in_c = walked(in_c, readings, patients)
    assert np.array_equal(status, status_in_c)
    assert mirrored == pytest.approx(state, rel=1e-9, abs=1e-9)


def test_c_agrees_on_what_is_measured(in_c):
    readings = kernel.readings(500, 60)
    state, status = walked(update_rows, readings, 500)
    mirrored, status_in_c = walked(in_c, readings, 500)
    assert np.array_equal(status, status_in_c)
    assert mirrored == pytest.approx(state, rel=1e-9, abs=1e-9)


def test_a_compiler_that_fails_is_told(tmp_path, monkeypatch):
    require(kernel.COMPILER, "apt-get install gcc")
    monkeypatch.setattr(kernel, "_SOURCE", tmp_path / "none.c")
    with pytest.raises(Failure, match=r"none\.c"):
        kernel.compiled(tmp_path)


def test_rows_begin_on_a_pair_of_cache_lines():
    for count in (1, 7, 100_000):
        rows = aligned((count, layout.STATE_WIDTH))
        assert rows.ctypes.data % 128 == 0
        assert rows.shape == (count, layout.STATE_WIDTH)
        assert not rows.any()
    assert aligned((3, 2), "i4").dtype == np.int32


def test_readings_come_once_a_round_in_an_order_of_its_own():
    readings = kernel.readings(50, 4)
    rounds = readings.rows.reshape(4, 50)
    assert all(np.array_equal(np.sort(one), np.arange(50)) for one in rounds)
    assert not np.array_equal(rounds[0], rounds[1])
    assert all(np.all(np.diff(readings.time[readings.rows == row]) > 0) for row in range(50))


@pytest.mark.slow
def test_quick_run(bench):
    shown = bench("kernel", "--quick", "--json", timeout=300)
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    assert set(result["events_per_s"]) == {"10k", "1m"}
    for peer in ("filterpy", "simdkalman"):
        assert result["ratio"][peer] == pytest.approx(result["events_per_s"]["10k"] / result["peers"][peer], rel=1e-3)
    if shutil.which(kernel.COMPILER):
        assert result["ratio"]["c"] == pytest.approx(
            result["peers"]["c"]["10k"] / result["events_per_s"]["10k"], rel=1e-3
        )


@pytest.mark.slow
def test_without_a_compiler_c_is_null(bench, tmp_path):
    shown = bench("kernel", "--quick", "--json", timeout=300, PATH=str(tmp_path))
    assert shown.returncode == 0, shown.stderr
    result = json.loads(shown.stdout)
    assert result["ratio"]["c"] is None
    assert kernel.COMPILER in result["note"]
