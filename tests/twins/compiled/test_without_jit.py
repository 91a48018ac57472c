"""The kernels as plain Python, the mode in which branches are measured: the same answers, without overflow warnings."""

import json
import os
import subprocess
import sys

import numpy as np

from tests.conftest import ROOT

SCRIPT = r"""
import json, warnings
warnings.simplefilter("error")
import numpy as np
from tests.twins.step.test_step import T0, S, Ward, frame
from twins.compiled.times import read_utc
from twins.records import Acknowledge, Fact, Retract, Tick

ward = Ward()
ILL = {"respiratory_rate": 22, "oxygen_saturation": 93, "systolic_bp": 95, "heart_rate": 100}
for at in range(1, 130):
    values = ILL if at < 90 else ILL | {"oxygen_saturation": 55, "heart_rate": 400 if at % 2 else 150}
    ward.take(frame(at, *[("p", name, value) for name, value in values.items()]))
    ward.take(Tick(T0 + at * S))
    if at == 85:
        for alarm in list(ward.bank.alarms.values()):
            ward.take(Acknowledge(patient="p", alarm=alarm.id, by="n", received=T0 + at * S))
for k in range(30):
    ward.take(frame(130 + 300 * k, ("p", "glucose", 150 - 4 * k), ("p", "glucose", 150 - 4 * k, -9)))
ward.take(frame(9100, ("p", "glucose", 60, 700)))
ward.take(Retract(patient="p", signal="glucose", time=T0 + (130 + 300 * 29) * S, received=T0 + 9200 * S))
ward.take(Tick(T0 + 20000 * S))
told = [[one.condition, one.signal, one.presence, one.number, one.value] for o in ward.outcomes for one in o.transitions]
texts = ["2026-11-27T14:05:06.123456Z", "1999-12-31T23:59:59.999999Z", "2000-02-29T00:00:00.000000Z"]
out = np.zeros(len(texts), np.int64)
good = read_utc(np.frombuffer("".join(texts).encode(), np.uint8), 27, out)
score = [s.total for o in ward.outcomes for s in o.scores]
print(json.dumps({"told": told, "scores": score, "times": out.tolist(), "good": bool(good)}))
"""


def run(disabled):
    answer = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT],
        env=os.environ | {"NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": str(ROOT)},
        cwd=ROOT, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr[-3000:]
    return json.loads(answer.stdout.splitlines()[-1])


def test_plain_kernels_give_the_results_of_compiled_ones():
    plain = run("1")
    assert plain == run("0")
    assert plain["good"]
    texts = ["2026-11-27T14:05:06.123456", "1999-12-31T23:59:59.999999", "2000-02-29T00:00:00"]
    assert plain["times"] == [int(np.datetime64(text, "us").astype(np.int64)) for text in texts]
    assert {"on", "acknowledged"} <= {one[2] for one in plain["told"]}
