"""NEWS2 with what devices report, against what became of recorded patients."""

import csv
import gzip

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from streams.log.frame import as_record
from streams.recordings.evaluate import _frames, aligned
from streams.recordings.recording import cut, read
from twins.bank.bank import Bank
from twins.records import Admit, Tick
from twins.step.dispatch import step

STAYS = 400
"""Of 1,000. All of them (987 have a score) give 0.579 without and 0.725 with what devices report."""


@pytest.mark.slow
def test_oxygen_and_coma_scale_of_devices_tell_who_will_die(shared_recordings):
    """By the last score of each stay of 48 h in intensive care: area under the ROC curve for death in hospital."""
    with gzip.open(shared_recordings / "challenge2012_icu_outcomes.csv.gz", "rt", encoding="utf-8") as lines:
        died = {row["patient"]: int(row["in_hospital_death"]) for row in csv.DictReader(lines)}
    recording = read(shared_recordings / "challenge2012_icu.csv.gz")
    columns = aligned(recording.of_patients(sorted(recording.columns.patients)[:STAYS]))
    bank, last = Bank(), {}
    for offset, patient in enumerate(columns.patients):
        step(bank, Admit(patient=patient, received=int(columns.time[0])), offset)
    for offset, (first, end) in enumerate(_frames(columns)):
        part = cut(columns, first, end)
        now = int(part.time[-1])
        at = len(columns.patients) + 2 * offset
        for outcome in (step(bank, Tick(now), at), step(bank, as_record(part, now), at + 1)):
            last |= {score.patient: score for score in outcome.scores}
    scores = list(last.values())
    outcome = [died[score.patient] for score in scores]
    whole = np.array([score.total for score in scores])
    by_device = np.array([score.parts.get("oxygen", 0) + score.parts.get("consciousness", 0) for score in scores])
    assert len(scores) > 0.95 * STAYS
    assert roc_auc_score(outcome, whole - by_device) < 0.65
    assert roc_auc_score(outcome, whole) > 0.68
