"""A replay with more new patients than its key may admit waits, and loses no reading."""

from math import inf

import numpy as np

from streams.recordings.client import Door
from streams.recordings.recording import Recording
from streams.recordings.replay import Replay
from twins.records import Columns


def test_new_patients_beyond_the_keys_minute_are_waited_for(start):
    running = start(new_patients_per_minute=2)
    admin = running.person("root", "admin")
    key = running.device().headers["Authorization"].removeprefix("Bearer ")
    names = [f"p{number}" for number in range(5)]
    rows = np.arange(50)
    recording = Recording(
        "five",
        Columns(
            names, (rows % 5).astype(np.uint32), np.zeros(50, np.uint16), (rows * 1_000_000).astype(np.int64),
            70.0 + rows % 7,
        )
    )  # fmt: skip
    waits = []

    def admitted_meanwhile(seconds):
        """The test does not wait for a minute: a nurse admits them by hand."""
        waits.append(seconds)
        for name in names[2:]:
            admin.post("/v1/patients", json={"id": name, "ward": "A"})

    with Door(running.url, key) as door:
        summary = Replay(recording, door, speed=inf, sleep=admitted_meanwhile).run()
    assert (summary.sent, summary.taken, summary.refused) == (50, 50, 0)
    assert [0 < seconds <= 60 for seconds in waits] == [True]
