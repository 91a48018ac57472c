"""The records that a step returns."""

from typing import get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import UNSET

from twins.bank.bank import Bank
from twins.records import Admit, Frame, JudgedChances, Outcome
from twins.records.rules import SetRules
from twins.signals import BY_NAME
from twins.step.dispatch import step

HEART_RATE = BY_NAME["heart_rate"].code
START = 1_700_000_000_000_000


def judged(patients: list[str], patient: list[int], came: list[int]) -> JudgedChances:
    """Statements with all columns of the right width."""
    count = len(patient)
    return JudgedChances(
        patients=patients,
        wards=[f"ward of {name}" for name in patients],
        patient=np.array(patient, "<u4").tobytes(),
        signal=np.full(count, 3, "<u2").tobytes(),
        side=np.ones(count, "u1").tobytes(),
        kind=np.zeros(count, "u1").tobytes(),
        made=np.arange(count, dtype="<i8").tobytes(),
        judged=(np.arange(count, dtype="<i8") + 5).tobytes(),
        stated=np.full(count, 0.25, "<f4").tobytes(),
        came=np.array(came, "u1").tobytes(),
    )


def test_statements_of_two_records_keep_their_patients_and_order():
    both = judged(["a", "b"], [1, 0], [1, 0]).followed_by(judged(["c", "a"], [1, 0, 0], [0, 1, 1]))
    rows = both.rows
    assert [both.patients[at] for at in rows["patient"]] == ["b", "a", "a", "c", "c"]
    assert [both.wards[at] for at in rows["patient"]][:2] == ["ward of b", "ward of a"]
    assert rows["came"].tolist() == [1, 0, 0, 1, 1]
    assert rows["stated"].tolist() == [0.25] * 5
    assert rows["judged"].tolist() == [5, 6, 5, 6, 7]


def test_statements_alone_are_nothing_to_send_and_are_absent_in_outcomes_of_older_versions():
    outcome = Outcome(chances=judged(["a"], [0], [1]))
    assert outcome.empty
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(outcome), type=Outcome)
    assert again.chances
    assert again.chances.rows["came"].tolist() == [1]
    assert Outcome().chances is UNSET
    assert b"chances" not in msgspec.msgpack.encode(Outcome())


def estimated(bank: Bank, at: int, offset: int, **values: float) -> Outcome:
    """The outcome of one heart rate of each named patient."""
    columns = [
        np.full(len(values), HEART_RATE, "<u2"),
        np.full(len(values), at, "<i8"),
        np.array([*values.values()], "<f8"),
    ]
    signal, time, value = (column.tobytes() for column in columns)
    patient = np.arange(len(values), dtype="<u4").tobytes()
    return step(
        bank, Frame(received=at, patients=[*values], patient=patient, signal=signal, time=time, value=value), offset
    )


def test_outcomes_of_two_records_become_one_that_has_all_of_both():
    """Of a channel in both, the later estimate counts; every list has the entries of both, in order."""
    bank = Bank()
    admitted = [step(bank, Admit(patient=name, ward="w", received=START), at) for at, name in enumerate("abc")]
    first, second = estimated(bank, START, 3, a=70.0, b=80.0), estimated(bank, START + 2_000_000, 4, c=60.0, a=75.0)
    both = first.followed_by(second)
    assert both.estimates
    rows = both.estimates.rows
    named = {both.estimates.patients[who]: value for who, value in zip(rows["patient"], rows["value"], strict=True)}
    assert named == {"a": 75.0, "b": 80.0, "c": 60.0}
    assert len(rows["value"]) == 3
    assert rows["belief"].shape == (3, second.estimates.rows["belief"].shape[1])
    assert both.scores == first.scores + second.scores != []
    assert both.status == first.status + second.status
    joined = admitted[0].followed_by(admitted[1]).followed_by(second)
    assert [profile.patient for profile in joined.profiles] == ["a", "b"]
    assert [stay.patient for stay in joined.stays] == ["a", "b"]
    assert joined.estimates == second.estimates
    assert joined.offset == 4


def test_no_field_of_an_outcome_is_lost_when_two_become_one():
    """A field that is set in one of two outcomes is set in both together, whichever it is."""
    filled = {"complete": True, "status": b"\0", "chances": judged(["a"], [0], [1]), "rules": SetRules(rules=[])}
    for name, kind in get_type_hints(Outcome).items():
        if name in {"partition", "offset", "time", "estimates", "outputs"}:
            continue
        value = filled.get(name, ["something"])
        assert name in filled or get_origin(kind) is list
        for both in (Outcome(**{name: value}).followed_by(Outcome()), Outcome().followed_by(Outcome(**{name: value}))):
            assert getattr(both, name) == value
