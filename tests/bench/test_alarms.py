"""``infra/bench alarms``: the simple monitors and what they are judged by, on series written by hand, and a short run."""

import gzip
import json
from itertools import pairwise

import pytest

from api.cli.output import Failure
from tests.bench import alarms_reference as reference
from tests.bench.alarms import run
from tests.bench.alarms_run import sounds_anew
from twins.records import Transition

SECOND = 1_000_000
MINUTE = 60 * SECOND
NONE = float("nan")


def each(step_us, values):
    return [at * step_us for at in range(len(values))], [float(value) for value in values]


def test_a_plain_monitor_sounds_each_time_a_limit_is_passed():
    time, value = each(SECOND, [90, 121, 90, 121, 122, 120, 49, 121])
    assert reference.alarms(time, value, (50.0, 120.0)) == [1 * SECOND, 3 * SECOND, 6 * SECOND, 7 * SECOND]


def test_a_plain_monitor_takes_a_zero_as_it_is():
    assert reference.alarms(*each(SECOND, [80, 0, 0, 80]), (50.0, NONE)) == [SECOND]


def test_a_reading_at_the_limit_is_not_beyond_it():
    assert reference.alarms(*each(SECOND, [50, 120]), (50.0, 120.0)) == []


def test_a_delay_hides_what_is_shorter():
    nine, ten = [130] * 9 + [100] * 5, [130] * 11 + [100] * 5
    assert reference.alarms(*each(SECOND, nine), (NONE, 120.0), 10 * SECOND) == []
    assert reference.alarms(*each(SECOND, ten), (NONE, 120.0), 10 * SECOND) == [10 * SECOND]


def test_between_charted_rows_a_delay_only_waits():
    time, value = each(60 * MINUTE, [100, 130, 100, 130])
    assert reference.alarms(time, value, (NONE, 120.0), 10 * SECOND) == [60 * MINUTE + 10 * SECOND]


def test_a_minute_beyond_a_limit_is_an_event():
    short, long = [100, *[130] * 60, 100], [100, *[130] * 61, 100]
    assert reference.events(*each(SECOND, short), (50.0, 120.0), (15.0, 300.0)) == []
    assert reference.events(*each(SECOND, long), (50.0, 120.0), (15.0, 300.0)) == [
        reference.Event(1, SECOND, 61 * SECOND)
    ]


def test_implausible_readings_neither_make_an_event_nor_end_one():
    dropouts = [80, *[40] * 30, 0, 0, *[40] * 31, 80]
    assert len(reference.events(*each(SECOND, dropouts), (50.0, NONE), (15.0, 300.0))) == 1
    assert reference.events(*each(SECOND, [80, *[0] * 90, 80]), (50.0, NONE), (15.0, 300.0)) == []


def test_a_pause_ends_an_event_of_dense_readings():
    time, value = each(SECOND, [130] * 80)
    time = time[:40] + [at + 20 * SECOND for at in time[40:]]
    assert reference.events(time, value, (NONE, 120.0), (15.0, 300.0)) == []


def test_two_charted_rows_beyond_a_limit_are_an_event():
    one, two = [100, 130, 100], [100, 130, 131, 100]
    assert reference.events(*each(60 * MINUTE, one), (NONE, 120.0), (15.0, 300.0)) == []
    assert reference.events(*each(60 * MINUTE, two), (NONE, 120.0), (15.0, 300.0)) == [
        reference.Event(1, 60 * MINUTE, 120 * MINUTE)
    ]


def test_a_charted_row_that_was_entered_twice_is_one_row():
    time, value = [0, 60 * MINUTE, 60 * MINUTE, 120 * MINUTE], [100.0, 130.0, 131.0, 100.0]
    assert reference.events(time, value, (NONE, 120.0), (15.0, 300.0)) == []


@pytest.mark.parametrize(
    ("at", "result"), [(0, (True, 20)), (5, (True, 15)), (20, (False, 0)), (25, (False, 0)), (45, (None, 0))]
)
def test_a_prediction_comes_true_within_half_an_hour(at, result):
    """130 at 20 min is beyond the limit; the recording ends at 60 min."""
    outcomes = reference.Outcomes(*each(5 * MINUTE, [100] * 4 + [130] + [100] * 8), (15.0, 300.0))
    came, after = outcomes.came_true(120.0, 1, at * MINUTE)
    assert (came, after // MINUTE) == result


def test_where_readings_are_rare_the_next_one_decides():
    outcomes = reference.Outcomes(*each(60 * MINUTE, [100, 100, 130, 100]), (15.0, 300.0))
    assert outcomes.came_true(120.0, 1, 60 * MINUTE) == (True, 60 * MINUTE)
    assert outcomes.came_true(120.0, 1, 0) == (False, 0)
    assert outcomes.came_true(120.0, 1, 180 * MINUTE) == (None, 0)


def test_calibration_is_the_mean_distance_of_tenths():
    stated = [(0.65, True)] * 6 + [(0.65, False)] * 4 + [(0.95, True)] * 10
    error, tenths = reference.calibration(stated)
    assert error == pytest.approx(0.05)
    assert tenths == [[10, pytest.approx(0.65), 0.6], [10, pytest.approx(0.95), 1.0]]


def test_a_day_without_readings_begins_another_stay(tmp_path):
    path = tmp_path / "file.csv.gz"
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.write("patient,time,signal,value,unit\n")
        file.writelines(
            f"p,2000-01-{day}T{hour}:00:00Z,heart_rate,80,/min\n"
            for day, hour in (("01", "00"), ("01", "12"), ("02", "12"), ("03", "13"))
        )
        file.write("q,2000-01-01T00:00:00.500Z,heart_rate,70,/min\n")
    raw = reference.read(path, ["p"])
    assert raw.stay == ["p", "p", "p", "p~2"]
    assert raw.days == 1.5
    assert [b - a for a, b in pairwise(raw.series["p", "heart_rate"][0])] == [720 * MINUTE, 1440 * MINUTE]
    assert reference.read(path, ["q"]).series["q", "heart_rate"] == ([946_684_800_500_000], [70.0])


@pytest.mark.parametrize(
    ("file", "signal", "value", "marked"),
    [
        ("mimic2_waveform_numerics_1min", "oxygen_saturation", 0.0, True),
        ("mimic2_waveform_numerics_1min", "heart_rate", 0.0, False),
        ("mimic2_waveform_numerics_1min", "pulse_rate", 277.0, True),
        ("challenge2012_icu", "body_temperature", -17.8, True),
        ("mimic4_demo_charted", "arterial_mean_bp", 801.0, True),
        ("eicu_demo_nibp", "systolic_bp", 3.0, True),
        ("eicu_demo_nibp", "systolic_bp", 240.0, False),
        ("weinstock2016_cgm", "glucose", 39.0, False),
    ],
)
def test_artefacts_are_those_of_the_readme(file, signal, value, marked):
    assert reference.artefact(file, signal, value) is marked


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        ({}, True),
        ({"event": "recurred"}, True),
        ({"event": "rose"}, False),
        ({"under": "b"}, False),
        ({"past": True}, False),
    ],
)
def test_what_sounds_anew(change, anew):
    usual = {"id": "a-1", "alarm": "a", "patient": "p", "condition": "limit.high", "presence": "on", "event": "began"}
    assert sounds_anew(Transition(**(usual | {"onset": 0, "time": 0} | change))) is anew


def test_an_unknown_file_is_named():
    with pytest.raises(Failure, match="no recording is called 'moon'"):
        run(only="moon")


@pytest.mark.slow
def test_alarms(bench):
    shown = bench("alarms", "--quick", "--json", timeout=400)
    assert shown.returncode == 0, shown.stderr
    figures = json.loads(shown.stdout)
    charted = figures["challenge2012_icu"]
    for monitor in ("plain", "delay", "ours"):
        assert charted[monitor]["events"] == charted["plain"]["caught"] > 10
        assert charted[monitor]["alarms_per_day"] > 0
        assert charted[monitor]["median_delay_s"] >= 0
    assert charted["plain"]["caught"] == charted["ours"]["caught"]
    assert set(charted["ours"]["predicted"]) >= {"count", "precision", "lead_min", "ece"}
