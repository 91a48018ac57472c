"""The records that a step returns."""

import msgspec
import numpy as np
from msgspec import UNSET

from twins.records import JudgedChances, Outcome


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
