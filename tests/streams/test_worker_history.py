"""What a worker hands its history of estimates, against what its outcomes told those who listened."""

import numpy as np

from streams.frame import as_record
from streams.history.packing import pack
from streams.worker import Worker
from twins.records import Admit, Columns
from twins.signals import BY_NAME

SECOND = 1_000_000
BEGIN = 1_700_000_000 * SECOND


class Keeper:
    """A history that only holds estimates."""

    def __init__(self) -> None:
        self.kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def add_estimates(self, partition, offset, patients, patient, signal, time, mean, sd, quality) -> None:
        self.kept.append((mean, sd, quality))

    def __getattr__(self, name):
        return lambda *_: None


def test_estimates_are_kept_without_digits_that_mean_nothing() -> None:
    history, told = Keeper(), []
    worker = Worker(history)
    worker.listen(lambda outcome: told.append(outcome.estimates.rows) if outcome.estimates is not None else None)
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
    np.testing.assert_allclose(mean, np.concatenate([rows["mean"] for rows in told]), rtol=2**-17)
    np.testing.assert_allclose(sd, np.concatenate([rows["sd"] for rows in told]), rtol=2**-11)
    np.testing.assert_allclose(quality, np.concatenate([rows["quality"] for rows in told]), rtol=2**-11, atol=1e-7)
    assert [pack(column)[0].dtype for column in (mean, sd, quality)] == ["<f4", "<f2", "<f2"]
