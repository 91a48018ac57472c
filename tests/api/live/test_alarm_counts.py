"""Counts of alarms for Prometheus: floods come and go, and names of wards and rules do not grow without end."""

from api.live.alarm_counts import MOST_WARDS, AlarmCounts
from twins.alarms.burden import SPAN_US
from twins.records import Outcome, Transition

SECOND = 1_000_000


def sounded(alarm, time, ward="A", condition="limit.low"):
    return Transition(
        id=f"{alarm}-1", alarm=alarm, patient="p", ward=ward, condition=condition, presence="on", onset=time, time=time,
        number=1,
    )  # fmt: skip


def value(counts, name, **labels):
    return sum(
        sample.value
        for metric in counts.metrics()
        for sample in metric.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_flood_begins_and_ends():
    now = [0]
    counts = AlarmCounts(lambda: now[0])
    for number in range(11):
        now[0] = number * SECOND
        assert value(counts, "vitaltwin_alarm_flood") == 0
        counts.heard(Outcome(transitions=[sounded(f"{number}", now[0])]))
    assert value(counts, "vitaltwin_alarm_flood", ward="A") == 1
    assert value(counts, "vitaltwin_alarms_in_10_min") == 11
    now[0] = SPAN_US
    assert value(counts, "vitaltwin_alarm_flood") == 0, "the first of the eleven is 10 min old"


def test_the_state_of_a_new_partition_is_no_new_alarm():
    counts = AlarmCounts(lambda: 0)
    counts.heard(Outcome(complete=True, transitions=[sounded("a", 0)]))
    assert value(counts, "vitaltwin_alarms_total") == 0


def test_labels_stay_bounded():
    counts = AlarmCounts(lambda: 0)
    for number in range(3 * MOST_WARDS):
        counts.heard(Outcome(transitions=[sounded(f"{number}", 0, f"w{number}", f"rule.{number}")]))
    (metric, *_) = counts.metrics()
    assert len({sample.labels["ward"] for sample in metric.samples}) == MOST_WARDS + 1
    assert {sample.labels["condition"] for sample in metric.samples} == {"rule"}
    assert value(counts, "vitaltwin_alarms_total", ward="other") == 2 * MOST_WARDS
