"""What became of a limit: the definition, reading by reading, against a slow one written out."""

import numpy as np
import pytest

from streams.recordings.crossings import NEXT, WITHIN, judged

MINUTE = 60_000_000
HIGH, LOW = 1, 0


def minutes(*when):
    return np.array(when, np.int64) * MINUTE


def test_a_crossing_within_half_an_hour_came():
    time = np.arange(0, 100, 5) * MINUTE
    value = np.full(20, 100.0)
    value[10] = 60.0  # after 50 minutes
    found = judged(time, value, 70.0, LOW, WITHIN)
    # The reading beyond is no origin, and the last half hour is not over.
    assert found.origin.tolist() == [*range(10), *range(11, 14)]
    assert found.came.tolist() == [False] * 4 + [True] * 6 + [False] * 3
    assert found.after_us[4:10].tolist() == [30 * MINUTE - 5 * k * MINUTE for k in range(6)]
    assert not judged(time, value, 120.0, HIGH, WITHIN).came.any()


def test_the_limit_itself_is_not_beyond():
    time = np.arange(0, 60, 5) * MINUTE
    assert not judged(time, np.full(12, 70.0), 70.0, LOW, WITHIN).came.any()
    assert not judged(time, np.full(12, 70.0), 70.0, HIGH, NEXT).came.any()


def test_a_short_recording_says_nothing_even_if_a_limit_is_crossed():
    time = np.arange(0, 25, 5) * MINUTE
    assert judged(time, np.array([100.0, 90, 80, 60, 60]), 70.0, LOW, WITHIN).origin.tolist() == []


def test_a_gap_at_the_end_of_the_window_says_nothing():
    time = minutes(0, 5, 10, 15, 45, 50, 55, 60)
    found = judged(time, np.full(8, 100.0), 70.0, LOW, WITHIN)
    assert found.origin.tolist() == [3]  # only its end, at 45, has a reading


def test_the_next_reading_counts_if_it_comes_in_time():
    time = minutes(0, 60, 150, 241, 300)
    value = np.array([100.0, 100, 130, 100, 130])
    found = judged(time, value, 120.0, HIGH, NEXT)  # the usual step is 75 minutes; 91 are fewer than 112
    assert found.origin.tolist() == [0, 1, 3]
    assert found.came.tolist() == [False, True, True]
    late = judged(minutes(0, 60, 120, 180, 271), np.full(5, 100.0), 120.0, HIGH, NEXT)
    assert late.origin.tolist() == [0, 1, 2]


def test_two_readings_at_one_time_are_one_origin():
    time = minutes(0, 0, 10, 20, 30, 40)
    value = np.array([100.0, 60.0, 100, 100, 100, 100])
    assert 0 not in judged(time, value, 70.0, LOW, WITHIN).origin
    corrected = judged(time, np.array([60.0, 100.0, 100, 100, 100, 100]), 70.0, LOW, WITHIN)
    assert (corrected.origin.tolist(), corrected.came.tolist()) == ([1, 2], [False, False])


def test_nothing_is_judged_without_a_limit_or_readings():
    time = np.arange(0, 100, 5) * MINUTE
    for kind in (WITHIN, NEXT):
        assert len(judged(time, np.full(20, 1.0), np.nan, LOW, kind).origin) == 0
        assert len(judged(time[:1], np.full(1, 1.0), 0.0, LOW, kind).origin) == 0
        assert len(judged(time[:0], np.zeros(0), 0.0, LOW, kind).origin) == 0


@pytest.mark.parametrize("side", [LOW, HIGH])
@pytest.mark.parametrize("seed", range(5))
def test_within_is_what_a_search_reading_by_reading_finds(seed, side):
    rng = np.random.default_rng(seed)
    time = np.cumsum(rng.choice([1, 1, 1, 2, 7], 300)) * MINUTE
    value = np.round(100 + np.cumsum(rng.normal(0, 2, 300)))
    limit = np.median(value)
    expected = {}
    for i in range(300):
        past = value[i] < limit if side == LOW else value[i] > limit
        end = time[i] + 30 * MINUTE
        if not past and np.any(np.abs(time - end) <= MINUTE / 2):
            later = value[(time > time[i]) & (time <= end)]
            expected[i] = bool(np.any(later < limit) if side == LOW else np.any(later > limit))
    found = judged(time, value, limit, side, WITHIN)
    assert dict(zip(found.origin.tolist(), found.came.tolist(), strict=True)) == expected
    assert 0 < sum(expected.values()) < len(expected)


def test_what_comes_later_decides_only_what_came():
    time = np.arange(0, 300, 5) * MINUTE
    value = np.full(60, 100.0)
    other = value.copy()
    other[30:] = 60.0
    calm, fallen = judged(time, value, 70.0, LOW, WITHIN), judged(time, other, 70.0, LOW, WITHIN)
    assert fallen.origin.tolist() == [place for place in calm.origin.tolist() if place < 30]
