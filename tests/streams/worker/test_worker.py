"""The estimates that a worker adds to its history, and its start from checkpoints."""

import itertools

import msgspec
import numpy as np
import pytest

from streams.history.nothing import NoHistory
from streams.history.packing import pack
from streams.log.frame import as_record
from streams.worker.worker import Worker
from twins.bank.checkpoint import Block, block_of
from twins.records import Admit, Columns, SetLimits
from twins.signals import BY_NAME

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND


class EstimateHistory:
    """A history of estimates only."""

    def __init__(self) -> None:
        self.kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add_estimates(self, partition, offset, patients, patient, signal, time, mean, sd, quality) -> None:
        self.kept.append((mean, sd, quality))

    def __getattr__(self, name):
        return lambda *_: None


def test_estimates_are_kept_without_digits_that_mean_nothing() -> None:
    history, result = EstimateHistory(), []
    worker = Worker(history)
    worker.listen(lambda outcome: result.append(outcome.estimates.rows) if outcome.estimates is not None else None)
    worker.assign(0, [])
    worker.take(0, 0, Admit(patient="p", received=BEGIN))
    signals = np.array([BY_NAME["heart_rate"].code, BY_NAME["body_temperature"].code], "<u2")
    chance = np.random.default_rng(5)
    for second in range(1, 121):
        now = BEGIN + second * SECOND
        values = np.array([80.0, 37.0]) + np.array([3.0, 0.1]) * chance.standard_normal(2)
        columns = Columns(["p"], np.zeros(2, "<u4"), signals, np.full(2, now - 1), values)
        worker.take(0, second, as_record(columns, now))
    mean, sd, quality = (np.concatenate(column) for column in zip(*history.kept, strict=True))
    assert len(mean) > 200
    np.testing.assert_allclose(mean, np.concatenate([rows["mean"] for rows in result]), rtol=2**-17)
    np.testing.assert_allclose(sd, np.concatenate([rows["sd"] for rows in result]), rtol=2**-11)
    np.testing.assert_allclose(quality, np.concatenate([rows["quality"] for rows in result]), rtol=2**-11, atol=1e-7)
    assert [pack(column)[0].dtype for column in (mean, sd, quality)] == ["<f4", "<f2", "<f2"]


def of_another_version(blob: bytes) -> bytes:
    block = msgspec.msgpack.decode(blob, type=Block)
    block.version -= 1
    return msgspec.msgpack.encode(block)


@pytest.mark.parametrize("order", [*itertools.permutations(range(3))])
def test_checkpoints_may_come_in_any_order(order) -> None:
    worker = Worker(NoHistory())
    worker.assign(0, [])
    patients = [f"bed-{number}" for number in range(100)]
    worker.take(0, 0, SetLimits(ward="A", signal="heart_rate", high=99.0, received=BEGIN))
    for offset, patient in enumerate(patients):
        worker.take(0, 1 + offset, Admit(patient=patient, ward="A", received=BEGIN))
    many = np.arange(100, dtype="<u4")
    hot = 39.5 + 0.0 * many
    columns = Columns(patients, many, np.full(100, BY_NAME["body_temperature"].code, "<u2"), np.full(100, BEGIN), hot)
    worker.take(0, 101, as_record(columns, BEGIN + SECOND))
    columns = Columns(patients, many, np.full(100, BY_NAME["heart_rate"].code, "<u2"), np.full(100, BEGIN), hot + 90)
    worker.take(0, 102, as_record(columns, BEGIN + 2 * SECOND))
    alarmed = Columns(patients[:1], many[:1], columns.signal[:1], np.full(1, BEGIN + 60 * SECOND), columns.value[:1])
    worker.take(0, 103, as_record(alarmed, BEGIN + 60 * SECOND))
    assert [alarm.condition for alarm in worker.banks[0].alarms.values()].count("limit.high") == 1
    blobs = [blob for *_, blob in sorted(worker.checkpoint().blobs)]
    again = Worker(NoHistory())
    assert again.assign(0, [blobs[place] for place in order], 103) == 104
    # Blocks and rows are unchanged, though their places differ.
    again.banks[0].finish_catch_up()
    assert [msgspec.msgpack.encode(block_of(again.banks[0], number, 103)) for number in (0, 1)] == blobs[1:]
    # If an alarm's channel starts afresh, its limits are the ward's, wherever those come from.
    anew = Worker(NoHistory())
    anew.assign(0, [blobs[0] if place == 0 else of_another_version(blobs[place]) for place in order], 103)
    bank = anew.banks[0]
    row = bank.slot[bank.index["bed-0"], BY_NAME["heart_rate"].code]
    assert row >= 0
    assert bank.limit[row, 2] == 99.0
