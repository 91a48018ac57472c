"""When a quiet channel is silent: by the intervals it has had, and by nothing before those are known."""

import pytest

from tests.twins.alarms.test_worsening import changes
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.records import Tick

MINUTE = 60
HOUR = 3600


def silent_after(moments, until, every=10):
    """Seconds after the last of ``moments`` (s) at which a heart rate measured then counts as silent; ``None``: never."""
    ward = Ward()
    for at in moments:
        ward.take(frame(at, ("p", "heart_rate", 80.0)))
        assert changes(ward, "sensor.silent") == [], at
    last = moments[-1]
    for after in range(every, until + 1, every):
        ward.take(Tick(T0 + (last + after) * S))
        if changes(ward, "sensor.silent"):
            return after
    return None


def test_dense_readings_are_missed_at_once():
    assert silent_after([1, 2, 3], 60, every=1) == 21


@pytest.mark.parametrize("moments", [[1], [1, 61], [1, 3601, 7201]])
def test_two_rows_do_not_say_how_often_readings_come(moments):
    assert silent_after(moments, 7200) is None


def test_a_first_reading_that_is_never_followed_by_another_is_missed_in_the_end():
    assert silent_after([1], 3 * HOUR) == 2 * HOUR + 10


def test_hourly_rows_are_missed_after_four_hours():
    rows = [1 + HOUR * at for at in range(12)]
    assert silent_after(rows, 5 * HOUR, every=MINUTE) == 4 * HOUR + MINUTE


def test_a_burst_of_rows_at_admission_does_not_set_the_interval():
    rows = [1 + 2 * MINUTE * at for at in range(5)]
    assert silent_after(rows, 2 * HOUR, every=MINUTE) is None


def test_rows_at_no_fixed_interval_are_missed_after_twice_their_second_longest_gap():
    rows = [1]
    for gap in (10, 10, 10, 10, 90, 10, 10, 90, 5, 5, 5, 5):
        rows.append(rows[-1] + gap * MINUTE)
    assert silent_after(rows, 200 * MINUTE, every=MINUTE) == 181 * MINUTE


def test_one_long_pause_does_not_excuse_the_next():
    assert silent_after([*range(1, 60), 260, *range(261, 340)], 60, every=1) == 21
