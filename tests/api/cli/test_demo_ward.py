"""The demo ward's schedule, run through the twins without a service: the events of the first minutes and hours."""

from itertools import pairwise

import numpy as np
import pytest

from api.cli.demo_ward.cast import cast
from api.cli.demo_ward.sources import Loop
from streams.log.frame import as_record
from streams.recordings.recording import Recording
from twins.bank.bank import Bank
from twins.records import Admit, Columns, Fact, Tick
from twins.step.dispatch import step

ORIGIN = 1_790_000_000_000_000
SECOND = 1_000_000


def play(seconds, beat=0.5):
    """The transitions and scores of the ward's first ``seconds``, with the history sent first."""
    beds = cast()
    bank, offset = Bank(), 0
    sources = [bed.source(ORIGIN) for bed in beds]
    sent = [ORIGIN - bed.past_us for bed in beds]
    told = []

    def put(record):
        nonlocal offset
        told.append(step(bank, record, offset))
        offset += 1

    for bed in beds:
        put(Admit(patient=bed.patient, ward="Demo", label=bed.label, received=ORIGIN))
        for kind, value in (("oxygen", bed.oxygen), ("consciousness", bed.consciousness)):
            if value is not None:
                put(Fact(patient=bed.patient, kind=kind, time=ORIGIN, value=value, received=ORIGIN))
    for at in np.arange(0.0, seconds, beat):
        now = ORIGIN + int(at * SECOND)
        parts = [source.between(since, now) for source, since in zip(sources, sent, strict=True)]
        code, time, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        patient = np.repeat(np.arange(len(parts), dtype=np.uint32), [len(part[1]) for part in parts])
        order = np.argsort(time, kind="stable")
        columns = Columns([bed.patient for bed in beds], patient[order], code[order], time[order], value[order])
        put(as_record(columns, now))
        if at % 1 == 0:
            put(Tick(now))
        sent = [now] * len(beds)
    return told


@pytest.fixture(scope="module")
def story():
    return play(121)


def test_sixteen_patients_five_of_them_synthetic():
    beds = cast()
    assert len({bed.patient for bed in beds}) == len({bed.label for bed in beds}) == 16
    assert [bed.hint for bed in beds].count("Simulation") == 5


def test_within_two_minutes_everything_has_been_seen(story):
    began = {
        (change.condition, change.patient): (change.emitted - ORIGIN) / SECOND
        for outcome in reversed(story)
        for change in outcome.transitions
        if change.presence == "on"
    }
    conditions = {condition for condition, _ in began}
    assert {"limit.high", "sensor.fault", "sensor.silent"} <= conditions, began
    assert {"predicted.low", "predicted.high"} & conditions, began
    assert {"news2.single", "news2.medium", "news2.high"} & conditions, began  # each lasts a minute before it begins
    assert max(began.values()) <= 120


def test_news2_is_complete_for_some_and_climbs(story):
    scores = [score for outcome in story for score in outcome.scores if not score.partial]
    by_patient = {}
    for score in scores:
        by_patient.setdefault(score.patient, []).append(score.total)
    assert len(by_patient) >= 3
    assert any(totals[0] <= 2 and max(totals) >= 7 for totals in by_patient.values()), by_patient


def test_a_loop_has_no_seam_and_windows_meet():
    n = 120
    recording = Recording(
        "r",
        Columns(
            ["p"], np.zeros(n, np.uint32), np.zeros(n, np.uint16), np.arange(n) * SECOND, np.arange(n, dtype=float)
        ),
    )
    loop = Loop(recording, "p")
    _, time, value = loop.between(ORIGIN, ORIGIN + 1_000 * SECOND)
    assert np.abs(np.diff(value)).max() == 1
    assert np.all(np.diff(time) == SECOND)
    assert len(time) == 1_000
    edges = ORIGIN + np.array([0, 3, 100, 101, 700, 1_000]) * SECOND
    parts = [loop.between(int(a), int(b)) for a, b in pairwise(edges)]
    assert np.array_equal(np.concatenate([part[2] for part in parts]), value)
    with pytest.raises(ValueError, match="no patient"):
        Loop(recording, "q")


def test_a_window_of_any_source_is_in_order_and_inside():
    for bed in cast():
        source = bed.source(ORIGIN)
        code, time, value = source.between(ORIGIN - bed.past_us, ORIGIN)
        assert len(code) == len(time) == len(value) > 10
        assert np.all(np.diff(time) >= 0)
        assert time.min() > ORIGIN - bed.past_us
        assert time.max() <= ORIGIN
