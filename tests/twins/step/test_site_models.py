"""A site's models that fail, models of another version, and what a service without models pays: nothing."""

import msgspec
import numpy as np
import pytest
from structlog.testing import capture_logs

from streams.history.nothing import NoHistory
from streams.kafka.messages import decode_outcome, encode_outcome
from streams.worker.worker import Worker
from tests.support.site_models import InsulinOnBoard, LastValue, Telling, documented
from tests.twins.models.test_conformance_in_bank import T0, TYPICAL, S, admitted, readings, told
from twins.bank.bank import Bank
from twins.bank.checkpoint import Block, ModelState, block_of, restore
from twins.records import Fact, Outcome, Tick
from twins.step.dispatch import step
from twins.step.estimates import complete


class Failing(Telling):
    """Fails on what one patient has, after it has half written its state."""

    name = "failing"

    def update(self, state, rows, signal, time, value):
        status = super().update(state, rows, signal, time, value)
        if (value == 81.0).any():
            raise ZeroDivisionError("81 is too much")
        return status


class FailsToTell(Telling):
    name = "fails-to-tell"

    def outputs(self, state, rows, signal, time):
        if (state["value"][rows] == 81.0).any():
            raise ZeroDivisionError("81 is too much")
        return super().outputs(state, rows, signal, time)


class Misshapen(Telling):
    name = "misshapen"

    def outputs(self, state, rows, signal, time):
        mean, sd, when = super().outputs(state, rows, signal, time)
        return mean[:, :1], sd, when


class FailsOnFacts(InsulinOnBoard):
    name = "fails-on-facts"

    def facts(self, state, rows, signal, fact):
        super().facts(state, rows, signal, fact)
        raise KeyError("what?")


def moved(models, *records):
    bank = Bank(models=models)
    outcomes = [step(bank, record, offset) for offset, record in enumerate([*admitted(("p", "q")), *records])]
    return bank, outcomes


def both(second, p, q):
    """One frame with a heart rate of each of two patients."""
    one = readings("p", {"heart_rate": p}, T0 + second * S)
    other = readings("q", {"heart_rate": q}, T0 + second * S)
    return msgspec.structs.replace(
        one, patients=["p", "q"], patient=np.array([0, 1], "<u4").tobytes(), signal=one.signal + other.signal,
        time=one.time + other.time, value=one.value + other.value,
    )  # fmt: skip


def test_a_model_that_fails_loses_the_readings_it_fails_on_and_nothing_else():
    records = [both(1, 80.0, 70.0), both(2, 81.0, 71.0), both(3, 82.0, 72.0)]
    bank, outcomes = moved([Failing(), LastValue()], *records[:2])
    plain, expected = moved([], *records[:2])
    assert [name for name, _ in bank.models.failures] == ["failing"]
    assert (told(bank, "failing", "p")[3], told(bank, "failing", "q")[3]) == ([{"value": 80.0}], [{"value": 71.0}])
    assert told(bank, "last-value", "p")[3] == [{"value": 81.0}]
    for one, other in zip(outcomes, expected, strict=True):
        assert one.status == other.status
        assert one.estimates == other.estimates
    assert bank.state.tobytes() == plain.state.tobytes()
    step(bank, records[2], 9)
    assert told(bank, "failing", "p")[3] == [{"value": 82.0}]


def test_a_model_that_cannot_tell_of_one_patient_tells_of_the_others():
    bank, outcomes = moved([FailsToTell(), Misshapen()], both(1, 81.0, 70.0))
    found = {one.model: one.patients for one in outcomes[-1].outputs}
    assert found == {"fails-to-tell": ["q"]}
    assert {name for name, _ in bank.models.failures} == {"fails-to-tell", "misshapen"}
    assert any("shapes" in str(error) for _, error in bank.models.failures)


def test_a_model_that_fails_on_a_fact_is_as_before():
    dose = Fact(patient="p", kind="insulin", id="1", time=T0 + 2 * S, value=4.0, received=T0 + 2 * S)
    bank, outcomes = moved([FailsOnFacts(), InsulinOnBoard()], both(1, 80.0, 70.0), dose)
    assert told(bank, "fails-on-facts")[3] == [{"units": 0.0, "glucose": 0.0}]
    assert told(bank, "insulin-on-board")[3] == [{"units": 4.0, "glucose": 0.0}]
    assert [one.model for one in outcomes[-1].outputs] == ["fails-on-facts", "insulin-on-board"]


def test_the_worker_counts_failures_and_logs_a_model_once():
    worker = Worker(NoHistory(), [Failing()])
    worker.assign(0, [])
    with capture_logs() as logged:
        for offset, record in enumerate(
            [*admitted(), *(readings("p", {"heart_rate": 81.0}, T0 + at * S) for at in (1, 2))]
        ):
            worker.take(0, offset, record)
    assert worker.model_failures == 2
    assert [line["model"] for line in logged] == ["failing"]
    assert worker.failures == 0


def test_without_models_an_outcome_has_not_one_byte_more():
    dose = Fact(patient="p", kind="insulin", id="1", time=T0 + 2 * S, value=4.0, received=T0 + 2 * S)
    bank, outcomes = moved([], both(1, 80.0, 70.0), dose, Tick(received=T0 + 9 * S))
    fields = set(Outcome.__struct_fields__) - {"outputs", "chances", "rules"}
    for outcome in [*outcomes, complete(bank, 9)]:
        for raw in (msgspec.msgpack.encode(outcome), encode_outcome(outcome)):
            assert set(msgspec.msgpack.decode(raw)) == fields | {"type"}
    assert outcomes[3].empty  # a fact that nobody's model takes is nobody's news
    block = block_of(bank, 0, 9)
    assert block.models == {}


def test_what_models_tell_comes_through_kafka():
    bank, outcomes = moved([Telling(), documented()], both(1, 80.0, 70.0))
    for outcome in (outcomes[-1], complete(bank, 9)):
        assert outcome.outputs
        assert decode_outcome(encode_outcome(outcome)).outputs == outcome.outputs


def test_a_model_speaks_when_estimates_do_and_the_bank_stays_as_it_is():
    bank, _ = moved([InsulinOnBoard()], readings("p", TYPICAL, T0 + S))
    before = bank.models.state["insulin-on-board"].tobytes()
    assert step(bank, Tick(received=T0 + 1_500_000), 9).outputs is msgspec.UNSET
    assert complete(bank, 9).outputs
    assert bank.models.state["insulin-on-board"].tobytes() == before


def test_readings_without_a_channel_twin_move_patient_level_models_only():
    class Flow(InsulinOnBoard):
        name = "flow"
        seen = ()

        def update(self, state, rows, signal, time, value):
            state["units"][rows] = value
            return super().update(state, rows, signal, time, value)

    bank, outcomes = moved([LastValue(), Flow()], readings("p", {"oxygen_flow": 3.0}, T0 + S))
    assert told(bank, "flow")[3] == [{"units": 3.0, "glucose": 0.0}]
    assert outcomes[-1].outputs  # it is told at once
    assert block_of(bank, 0, 3).models["flow"].rows != bytes(128)


def test_times_in_a_state_go_back_with_the_clock():
    bank, _ = moved(
        [Telling(), InsulinOnBoard()], readings("p", TYPICAL, T0 + 100 * S), readings("q", TYPICAL, T0 + 30 * S)
    )
    step(bank, Tick(received=T0 + 60 * S, back=40 * S), 9)
    assert bank.models.state["insulin-on-board"]["glucose_time"][:2].tolist() == [T0 + 60 * S, T0 + 30 * S]
    assert set(bank.models.state["telling"]["time"][: bank.rows].tolist()) == {T0 + 60 * S, T0 + 30 * S}


# -- checkpoints -----------------------------------------------------------------------------------------------------


def kept(models=(InsulinOnBoard, Telling)):
    dose = Fact(patient="p", kind="insulin", id="1", time=T0 + 2 * S, value=4.0, received=T0 + 2 * S)
    bank, _ = moved([make() for make in models], readings("p", TYPICAL, T0 + S), dose)
    return block_of(bank, 0, 3)


def restored(block, models):
    bank = Bank(models=models)
    restore(bank, msgspec.msgpack.decode(msgspec.msgpack.encode(block), type=Block))
    bank.time = T0 + 2 * S
    return bank


def test_an_earlier_version_is_migrated():
    block = kept()
    old = np.zeros(2, [("units", "f8"), ("units_time", "i8")])
    old[0] = 3.0, T0
    block.models["insulin-on-board"] = ModelState(1, "patient", old.tobytes())
    bank = restored(block, [InsulinOnBoard(), Telling()])
    assert bank.models.begun == []
    assert told(bank, "insulin-on-board")[3] == [{"units": 3.0, "glucose": 0.0}]


class Short(InsulinOnBoard):
    def migrate(self, version, raw):
        return np.zeros(1, self.dtype)


class Raising(InsulinOnBoard):
    def migrate(self, version, raw):
        raise RuntimeError("nobody knows version 7")


@pytest.mark.parametrize(
    ("make", "state", "why"),
    [
        (InsulinOnBoard, ModelState(7, "patient", bytes(64)), "cannot read what version 7 wrote"),
        (InsulinOnBoard, ModelState(2, "patient", bytes(65)), "another size"),
        (InsulinOnBoard, ModelState(2, "channel", bytes(160)), "a state per channel"),
        (InsulinOnBoard, bytes(160), "a state per channel"),
        (Short, ModelState(1, "patient", bytes(32)), "gave 1 rows"),
        (Raising, ModelState(7, "patient", bytes(64)), "nobody knows"),
    ],
)
def test_what_cannot_be_used_begins_anew_and_is_noted(make, state, why):
    block = kept()
    block.models["insulin-on-board"] = state
    bank = restored(block, [make(), Telling()])
    ((name, reason),) = bank.models.begun
    assert name == "insulin-on-board"
    assert why in reason
    assert told(bank, "insulin-on-board")[3] == [{"units": 0.0, "glucose": 0.0}]
    assert 80.0 in told(bank, "telling")[0]  # nothing else is lost
    assert bank.state[bank.slot[0, 0], 0] != 0


def test_the_worker_counts_models_that_begin_anew():
    block = kept()
    block.models["insulin-on-board"] = ModelState(7, "patient", bytes(64))
    worker = Worker(NoHistory(), [InsulinOnBoard(), Telling()])
    assert worker.assign(0, [msgspec.msgpack.encode(block)], 3) == 4
    assert (worker.models_begun, worker.damaged) == (1, 0)


def test_rows_from_before_checkpoints_told_the_version_are_read():
    block = kept()
    block.models["telling"] = block.models["telling"].rows
    bank = restored(block, [InsulinOnBoard(), Telling()])
    assert bank.models.begun == []
    assert 80.0 in told(bank, "telling")[0]


def test_a_model_that_is_new_or_gone_is_no_trouble():
    bank = restored(kept(), [documented(), Telling()])
    assert bank.models.begun == []
    assert 80.0 in told(bank, "telling")[0]
    assert np.isnan(told(bank, "shock-index")[0]).all()


def test_room_grows_with_the_ward():
    patients = [f"bed-{number}" for number in range(200)]
    bank = Bank(models=[Telling(), InsulinOnBoard()])
    for offset, record in enumerate([*admitted(patients), *(readings(one, TYPICAL, T0 + S) for one in patients)]):
        step(bank, record, offset)
    assert bank.models.failures == []
    for number, patient in enumerate(patients):
        assert bank.index[patient] == number
        assert told(bank, "insulin-on-board", patient)[3] == [{"units": 0.0, "glucose": 110.0}]
        assert sorted(told(bank, "telling", patient)[0][:, 0].tolist()) == [15.0, 80.0, 110.0, 120.0]
