"""Which forecasts a worker stores, compared with its outcomes as a listener gets them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.worker.worker import Worker
from twins.models.channel.fan import fan
from twins.records import HORIZONS_MIN, QUANTILES, Admit, Frame, Retract, Tick
from twins.signals import BY_NAME, SIGNALS

SECOND, MINUTE = 1_000_000, 60_000_000
BEGIN = 1_700_000_000 * SECOND
HEART, GLUCOSE = BY_NAME["heart_rate"].code, BY_NAME["glucose"].code
VALUES = {HEART: 75.0, GLUCOSE: 110.0}


class ForecastHistory:
    """A history of forecasts only, as (offset, identity, quantiles)."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, tuple[str, int, int], list]] = []

    def add_forecasts(self, partition, offset, patients, patient, signal, time, quantiles) -> None:
        assert quantiles.dtype == np.float32
        columns = (patient.tolist(), signal.tolist(), time.tolist(), quantiles.tolist())
        for who, code, at, result in zip(*columns, strict=True):
            self.kept.append((offset, (patients[who], code, at), result))

    def __getattr__(self, name):
        return lambda *_: None


class Listener:
    """What must be stored: computed one by one from the outcomes, at every horizon and quantile."""

    def __init__(self) -> None:
        self.last: dict[tuple[str, int], int] = {}
        self.wanted: list[tuple[int, tuple[str, int, int], list]] = []

    def __call__(self, outcome) -> None:
        if outcome.estimates is None:
            return
        rows = outcome.estimates.rows
        every = fan(rows["belief"], rows["signal"])
        for at, who in enumerate(rows["patient"].tolist()):
            patient, code, time = outcome.estimates.patients[who], int(rows["signal"][at]), int(rows["time"][at])
            if time // MINUTE <= self.last.get((patient, code), -1):
                continue
            result = [
                [
                    float(every[at, HORIZONS_MIN.index(ahead), QUANTILES.index(quantile)])
                    if outcome.estimates.emitted <= time + ahead * MINUTE
                    else None
                    for quantile in (0.05, 0.5, 0.95)
                ]
                for ahead in (5, 30, 120)
            ]
            if np.isnan(every[at]).any() or result[2][0] is None:
                continue
            self.last[patient, code] = time // MINUTE
            self.wanted.append((outcome.offset, (patient, code, time), result))


def frame(received: int, readings: list[tuple[str, int, int, float]]) -> Frame:
    names = sorted({name for name, *_ in readings})
    patient, signal, time, value = zip(*((names.index(name), *rest) for name, *rest in readings), strict=True)
    return Frame(
        received=received, patients=names, patient=np.array(patient, "<u4").tobytes(),
        signal=np.array(signal, "<u2").tobytes(), time=np.array(time, "<i8").tobytes(), value=np.array(value, "<f8").tobytes(),
    )  # fmt: skip


def nulls(kept: list) -> list:
    """With None in place of NaN, because None equals itself."""
    return [
        (offset, who, [[None if np.isnan(one) else one for one in row] for row in result])
        for offset, who, result in kept
    ]


def started(blobs=(), committed: int = -1) -> tuple[Worker, ForecastHistory]:
    history = ForecastHistory()
    worker = Worker(history)
    worker.assign(0, blobs, committed)
    return worker, history


def listening() -> tuple[Worker, ForecastHistory, Listener]:
    worker, history = started()
    listener = Listener()
    worker.listen(listener)
    return worker, history, listener


entries = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([HEART, GLUCOSE]), st.integers(-9_000, 90), st.booleans()),
    max_size=6,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0, 1, 20, 61, 700, 8_000]), entries), max_size=25))
def test_the_first_of_every_minute_is_kept_as_it_was_told(steps) -> None:
    worker, history, listener = listening()
    now = BEGIN
    log = [Admit(patient=name, ward="A", received=now) for name in "abc"]
    for seconds, readings in steps:
        now += seconds * SECOND
        log.append(Tick(now))
        result = [(name, code, now + at * SECOND, VALUES[code] + at % 7) for name, code, at, _ in readings]
        log += [frame(now, result)] if result else []
        log += [
            Retract(patient=name, signal=SIGNALS[code].name, time=now + at * SECOND, received=now)
            for name, code, at, back in readings
            if back
        ]
    for offset, record in enumerate(log):
        worker.take(0, offset, record)
    assert worker.failures == 0
    assert nulls(history.kept) == listener.wanted
    identities = [who for _, who, _ in history.kept]
    assert len(identities) == len(set(identities))


def test_a_steady_signal_has_one_a_minute_and_a_slow_one_all_of_them() -> None:
    worker, history, listener = listening()
    worker.take(0, 0, Admit(patient="a", ward="A", received=BEGIN))
    for second in range(1, 601):
        now = BEGIN + second * SECOND
        readings = [("a", HEART, now, 75.0)] + ([("a", GLUCOSE, now, 110.0)] if second % 300 == 1 else [])
        worker.take(0, second, frame(now, readings))
    assert nulls(history.kept) == listener.wanted
    times = {code: [at for _, (_, which, at), _ in history.kept if which == code] for code in VALUES}
    minutes = [at // MINUTE for at in times[HEART]]
    assert minutes == list(range(BEGIN // MINUTE, BEGIN // MINUTE + len(minutes)))
    assert len(minutes) in (10, 11)
    assert all(at % MINUTE == 0 for at in times[HEART][1:])
    assert times[GLUCOSE] == [BEGIN + SECOND, BEGIN + 301 * SECOND]


def test_what_was_told_when_its_moment_had_passed_is_no_forecast() -> None:
    worker, history = started()
    worker.take(0, 0, Admit(patient="a", ward="A", received=BEGIN))
    for offset, ago in enumerate((121, 119, 31, 29, 6, 4, 0), start=1):
        now = BEGIN + offset * SECOND
        worker.take(0, offset, frame(now, [("a", HEART, now - ago * MINUTE, 75.0)]))
    known = [[not np.isnan(row[0]) for row in result] for _, _, result in history.kept]
    late, mid, good = [False, False, True], [False, True, True], [True, True, True]
    assert known == [late, late, mid, mid, good, good]


@pytest.mark.parametrize("share", [0.4, 1.0])
def test_a_restart_rewrites_nothing_and_misses_little(share: float) -> None:
    names = [f"p{number:03}" for number in range(200)]  # several blocks
    log = [Admit(patient=name, ward="A", received=BEGIN) for name in names]
    for step in range(1, 130):
        now = BEGIN + step * 3 * SECOND
        log.append(frame(now, [(name, HEART, now, 70.0 + (step * number) % 11) for number, name in enumerate(names)]))
    stop = len(names) + 50
    worker, whole = started()
    checkpoints, committed = {}, -1
    for offset, record in enumerate(log):
        if offset in (len(names), stop - 20, stop - 7, stop - 3):
            saved = worker.checkpoint(share if offset > len(names) else 1.0)
            checkpoints |= {number: (at, blob) for _, number, at, blob in saved.blobs}
            committed = saved.committed[0]
            if offset == stop - 3:
                break
        worker.take(0, offset, record)
    newest = max(at for at, _ in checkpoints.values())
    for offset in range(stop - 3, len(log)):
        worker.take(0, offset, log[offset])
    again, second = started([blob for _, blob in checkpoints.values()], committed)
    for offset in range(committed + 1, len(log)):
        again.take(0, offset, log[offset])
    assert second.kept
    assert all(offset > newest for offset, _, _ in second.kept)
    before = {who: result for _, who, result in whole.kept}
    minutes = {(who[0], who[2] // MINUTE) for _, who, _ in whole.kept}
    assert all(before[who] == result for _, who, result in second.kept if who in before)
    durable = [who for offset, who, _ in whole.kept if offset <= newest]
    assert {(who[0], who[2] // MINUTE) for who in durable + [who for _, who, _ in second.kept]} == minutes


def test_what_a_predecessor_told_is_not_replaced_by_a_correction() -> None:
    worker, first = started()
    worker.take(0, 0, Admit(patient="a", ward="A", received=BEGIN))
    for offset in range(1, 5):
        now = BEGIN + offset * 300 * SECOND
        worker.take(0, offset, frame(now, [("a", GLUCOSE, now, 110.0 + offset)]))
    saved = worker.checkpoint()
    again, second = started([blob for *_, blob in saved.blobs], saved.committed[0])
    again.banks[0].finish_catch_up()
    later = now + 20 * SECOND
    outcome = again.take(0, 5, frame(later, [("a", GLUCOSE, now, 150.0)]))
    assert outcome.estimates is not None
    assert outcome.estimates.rows["time"].tolist() == [now]
    assert second.kept == []
    assert first.kept[-1][1] == ("a", GLUCOSE, now)
    again.take(0, 6, frame(now + 300 * SECOND, [("a", GLUCOSE, now + 300 * SECOND, 120.0)]))
    assert [who for _, who, _ in second.kept] == [("a", GLUCOSE, now + 300 * SECOND)]


def test_a_partition_that_comes_back_begins_with_a_clean_memory() -> None:
    worker, history = started()
    for _ in range(2):
        worker.take(0, 0, Admit(patient="a", ward="A", received=BEGIN))
        worker.take(0, 1, frame(BEGIN, [("a", HEART, BEGIN, 75.0)]))
        worker.release(0)
        worker.assign(0, [])
    assert len(history.kept) == 2
