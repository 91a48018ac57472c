"""The compiled passes over columns, compared with numpy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from twins.compiled.sorting import judge, takeable, tally
from twins.step.walk import due_patients

READING = st.tuples(
    st.integers(0, 3), st.integers(0, 4), st.integers(0, 100), st.sampled_from([1.0, -2.5, np.nan, np.inf])
)


@given(st.lists(READING, max_size=8))
def test_all_readings_are_taken_together_exactly_if_each_is_taken_alone(readings):
    patient, signal, time, value = (
        np.array([reading[k] for reading in readings], kind) for k, kind in enumerate(("u4", "u2", "i8", "f8"))
    )
    verdict = np.empty(len(readings), np.uint8)
    judge(patient, signal, time, value, 3, 4, 10, 90, verdict)
    assert takeable(patient, signal, time, value, 3, 4, 10, 90) == (not verdict.any())


@given(st.lists(st.integers(0, 20), max_size=50))
def test_codes_are_counted_as_numpy_counts_them(codes):
    counts = np.full(16, 99, np.int64)
    tally(np.array(codes, np.uint8), counts)
    assert counts.tolist() == np.bincount(codes, minlength=21)[:16].tolist()


@given(
    st.lists(st.integers(0, 9), unique=True).map(sorted),
    st.sets(st.integers(0, 9)),
    st.lists(st.integers(0, 99), min_size=10, max_size=10),
)
def test_patients_are_due_after_a_second_or_at_once_if_urgent(touched, urgent, emitted):
    pending = np.zeros(10, np.uint8)
    due = due_patients(np.array(touched, np.int64), np.array(emitted), pending, np.array(sorted(urgent), np.int64), 50)
    expected = [number for number in touched if emitted[number] <= 50 or number in urgent]
    assert due.tolist() == expected
    assert pending.nonzero()[0].tolist() == [number for number in touched if number not in expected]
