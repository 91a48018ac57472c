"""A moment reopened from the log is the state that the twins had then, bit for bit, whatever came later."""

import numpy as np
import pytest

from streams.log.frame import as_record
from streams.preview.job import Job, Part
from streams.preview.moments import Moment, reopen
from streams.preview.run import setup_of
from tests.streams.preview.test_run import T0, S, course_of, noisy
from twins.bank import layout
from twins.bank.bank import Bank
from twins.records import HORIZONS_MIN, QUANTILES, Columns, Profile, Tick
from twins.signals import BY_NAME
from twins.step.dispatch import step

HR = BY_NAME["heart_rate"].code


@pytest.mark.parametrize("seconds", [(900,), (700, 701, 1500), (1799,)])
def test_a_moment_is_as_it_was(seconds):
    course = course_of(noisy(3, 1800))
    job = Job(
        patients=[Profile(patient="p0", ward="A")], setup=[], changes=[], start=T0 + seconds[0] * S, end=T0 + 1800 * S
    )  # fmt: skip
    log = [Part(source="log", start=T0, end=job.end)]
    found = reopen(job, course, log, [Moment(time=T0 + at * S, signal="heart_rate") for at in seconds])
    bank, offset, wanted = Bank(), 0, []
    for record in setup_of(job.patients, [], T0):
        step(bank, record, offset)
        offset += 1
    for now in course.time.tolist():
        of = course.time == now
        columns = Columns(course.patients, course.patient[of], course.signal[of], course.time[of], course.value[of])
        for record in (as_record(columns, now), Tick(now)):
            step(bank, record, offset)
            offset += 1
        if (now - T0) // S in seconds:
            state = bank.state[bank.slot[0, HR]]
            wanted.append((round(float(state[layout.M0]), 4), round(float(np.sqrt(state[layout.P00])), 4)))
    assert [(one.mean, one.sd) for one in found] == wanted
    for one in found:
        assert one.source == "log"
        assert (len(one.forecast), len(one.forecast[0])) == (len(HORIZONS_MIN), len(QUANTILES))


def test_what_the_log_does_not_reach_stays_empty():
    course = course_of(noisy(3, 1800))
    job = Job(patients=[Profile(patient="p0")], setup=[], changes=[], start=T0, end=T0 + 1800 * S)
    asked = [Moment(time=T0 + 900 * S, signal="heart_rate")]
    assert reopen(job, course, [Part(source="history", start=T0, end=job.end)], asked)[0].source == ""
    log = [Part(source="log", start=T0, end=job.end)]
    assert reopen(job, course, log, [Moment(time=T0 + 900 * S, signal="oxygen_saturation")])[0].source == ""
