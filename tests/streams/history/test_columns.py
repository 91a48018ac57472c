"""Columns come back bit for bit."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from streams.history import columns
from streams.history.columns import ESTIMATES, FORECASTS, OBSERVATIONS, Segment
from streams.history.packing import coarse, pack, unpack

STEPS = st.sampled_from([1, 1000, 1_000_000, 300_000_000])
TIMES = st.builds(
    lambda base, step, counts: base + step * np.array(counts, "i8"),
    st.integers(-(1 << 61), 1 << 61), STEPS, st.lists(st.integers(0, 1 << 33), min_size=1, max_size=30),
)  # fmt: skip
FLOATS = st.one_of(
    hnp.arrays("f8", st.integers(1, 30), elements=st.floats(width=64)),
    hnp.arrays("f8", st.integers(1, 30), elements=st.integers(-99999, 99999).map(lambda n: n / 10)),
    hnp.arrays("f8", st.integers(1, 30), elements=st.integers(-99999, 9999999).map(lambda n: n / 100)),
    hnp.arrays("f8", st.integers(1, 30), elements=st.sampled_from([0.0, -0.0, np.nan, np.inf, 72.0, 1e-310])),
    hnp.arrays("f4", st.integers(1, 30), elements=st.floats(width=32)),
)


def bits(column: np.ndarray) -> list[int]:
    return column.view(f"<u{column.dtype.itemsize}").tolist()


@given(TIMES)
def test_times_survive_packing(time) -> None:
    how, kept = pack(time)
    back = np.full(len(time), how.base) if not how.dtype else unpack(how, kept)
    assert back.tolist() == time.tolist()


@given(FLOATS)
def test_values_survive_packing(value) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        how, kept = pack(value)
    assert bits(unpack(how, kept).astype(value.dtype)) == bits(value)


def test_a_span_of_times_too_long_to_subtract_is_kept_as_it_is() -> None:
    time = np.array([-(1 << 62) - 5, 1 << 62], "i8")
    assert pack(time)[0].dtype == "<i8"


@pytest.mark.parametrize(
    ("value", "size"), [(np.arange(99.0), 2), (np.arange(99) / 10, 2), (np.arange(9e5, 9e5 + 99), 4)]
)
def test_values_on_a_step_take_little(value, size: int) -> None:
    assert pack(value)[1].itemsize == size


ORDINARY = st.one_of(st.floats(1e-4, 6e4), st.floats(-6e4, -1e-4))


@given(
    hnp.arrays("f8", st.integers(1, 30), elements=ORDINARY), st.sampled_from([(10, "<f2"), (16, "<f4"), (23, "<f4")])
)
def test_coarse_numbers_are_near_and_take_little(value, precision) -> None:
    digits, dtype = precision
    near = coarse(value, digits)
    assert (abs(near - value) <= abs(value) * 2.0 ** -(digits + 1)).all()
    if digits in (10, 23):  # numpy's own narrow types have so many
        assert (abs(near - value) <= abs(value.astype(dtype).astype("f8") - value)).all()
    assert np.dtype(pack(near)[0].dtype).itemsize <= np.dtype(dtype).itemsize
    assert bits(coarse(near, digits)) == bits(near)


def test_what_is_no_number_stays_so() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])
    assert bits(coarse(odd, 16)) == bits(odd)
    assert np.isnan(coarse(np.array([0x7FFFFFFFFFFFFFFF], "<u8").view("<f8"), 10)).all()


@pytest.mark.parametrize("pack_rows", [1, 1000])
@pytest.mark.parametrize("kind", [OBSERVATIONS, ESTIMATES, FORECASTS])
def test_a_chunk_gives_back_all_rows_and_those_of_one_signal(monkeypatch, kind, pack_rows) -> None:
    monkeypatch.setattr(columns, "PACK_ROWS", pack_rows)
    random = np.random.default_rng(1)
    rows = [np.sort(random.integers(3, 6, 37)).astype("u2"), np.arange(37) * 1000 + 7]
    rows += [random.normal(size=37).astype(dtype) for dtype in kind.dtypes[2:]]
    settled = columns.settle(ESTIMATES, rows)
    body = columns.chunk_bytes(settled, columns.runs_of(settled[0]))
    for result, wanted in zip(columns.joined(kind, [columns.chunk_rows(body)]), settled, strict=True):
        assert result.tolist() == wanted.tolist()
    for signal in range(8):
        for result, wanted in zip(columns.chunk_rows(body, signal), settled, strict=True):
            assert result.tolist() == wanted[settled[0] == signal].tolist()


@given(hnp.arrays("f4", st.tuples(st.integers(0, 5), st.just(3), st.just(3)), elements=st.floats(width=32)))
def test_quantiles_survive_being_columns(quantiles) -> None:
    result = columns.quantiles_of(columns.quantile_columns(quantiles))
    assert result.shape == quantiles.shape
    assert bits(result) == bits(quantiles)
    if len(quantiles):
        assert columns.quantile_columns(quantiles)[5].tolist() == pytest.approx(
            quantiles[:, 1, 2].tolist(), nan_ok=True
        )


def test_segments_share_a_list_of_patients() -> None:
    shared = ["a", "b"]

    def segment(patients: list[str], patient: list[int]) -> Segment:
        count = len(patient)
        return Segment(
            patients, np.array(patient, "u4"),
            (np.zeros(count, "u2"), np.arange(count), np.ones(count), np.zeros(count, "u1")),
        )  # fmt: skip

    names, body = columns.segment_bytes(
        [segment(shared, [0, 1]), segment(["c"], [0]), segment(shared, [1])], OBSERVATIONS
    )
    result = columns.segment_rows(names, bytes(body))
    assert result.patients == ["a", "b", "c"]
    assert result.patient.tolist() == [0, 1, 2, 1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=20))
def test_settled_rows_are_sorted_and_the_last_of_an_identity_wins(rows) -> None:
    signal, time = (np.array(column, "i8") for column in zip(*rows, strict=True)) if rows else (np.empty(0, "i8"),) * 2
    result = columns.settle(ESTIMATES, [signal, time, np.arange(len(rows))])
    wanted = {row: number for number, row in enumerate(rows)}
    assert list(zip(*(column.tolist() for column in result), strict=True)) == [
        (*row, wanted[row]) for row in sorted(wanted)
    ]
