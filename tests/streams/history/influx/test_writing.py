"""Points on their way: nothing is lost while InfluxDB is away, and nothing else suffers from a line it refuses."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from hypothesis import HealthCheck, example, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from streams.clock import Clock
from streams.errors import HistoryUnavailable
from streams.history.influx import InfluxHistory, line_protocol, prepare, writer
from streams.settings import Settings
from tests.conftest import ROOT
from tests.streams.history.influx.conftest import Server, until
from twins.records import Fact, Transition

BEGIN = Clock().now() - 3_600_000_000
EVER = (0, 1 << 60)


def observe(
    history: InfluxHistory, offset: int, patients: list[str], value: float = 1.0, time: int | None = None
) -> None:
    """One reading of each patient, in one record."""
    rows = len(patients)
    history.add_observations(
        0, offset, patients, np.arange(rows, dtype="u4"), np.zeros(rows, "u2"),
        np.full(rows, BEGIN + offset if time is None else time), np.full(rows, value), np.zeros(rows, "u1"),
    )  # fmt: skip
    history.complete(0, offset)


async def values(history: InfluxHistory, patient: str) -> list[float]:
    return (await history.observations(patient, 0, *EVER)).value.tolist()


any_text = st.text(st.characters(exclude_categories=[]), max_size=8) | st.text("%5C\\ ,=\n\r\t\0\"'${}#é", max_size=6)


@example(patients=["$${a}", '$\\"', "$", "${", "a,patient=b", "a\\", "%5C", "%", ""], number=1)
@profile(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(patients=st.lists(any_text, min_size=1, max_size=8, unique=True), number=st.integers(1, 1 << 40))
def test_any_two_ids_stay_two(settings: Settings, patients: list[str], number: int) -> None:
    history = InfluxHistory(settings, writes=True)

    async def play() -> None:
        columns = np.arange(len(patients), dtype="u4"), np.zeros(len(patients), "u2"), np.full(len(patients), BEGIN)
        history.add_observations(
            0, 0, patients, *columns, np.arange(len(patients)) + float(number), np.zeros(len(patients), "u1")
        )
        history.complete(0, 0)
        await history.settled()
        result = [await values(history, patient) for patient in patients]
        assert result == [[place + float(number)] for place in range(len(patients))]
        assert history.counters()["history_dropped"] == 0

    try:
        asyncio.run(play())
    finally:
        history.close()


numbers = itertools.count()
plain_text = st.text(max_size=12) | st.text('\\"\n\r\t${},= é', max_size=6)


@example(patient="", kind="", value="", name="\0", note="")
@profile(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(patient=plain_text, kind=plain_text, value=plain_text, name=plain_text, note=plain_text)
def test_any_text_of_facts_and_transitions(settings: Settings, patient, kind, value, name, note) -> None:
    history = InfluxHistory(settings, writes=True)
    name += f"/{next(numbers)}"  # an id is of one transition only
    fact = Fact(patient=patient, kind=kind, time=BEGIN, value=value, note=note)
    change = Transition(
        id=f"{name}-1", alarm=name, patient=patient, condition=kind, signal=value, presence=note, onset=0, time=BEGIN,
        note=note,
    )  # fmt: skip

    async def play() -> None:
        history.add_facts(0, 0, [fact])
        history.add_transitions(0, 0, [change])
        history.complete(0, 0)
        await history.settled()
        assert fact in await history.facts(patient, *EVER)
        assert change in await history.alarm(name)
        assert change in (await history.alarms(patient, *EVER, limit=1000)).items
        assert history.counters()["history_dropped"] == 0

    try:
        asyncio.run(play())
    finally:
        history.close()


async def test_more_than_a_request_holds(history: InfluxHistory) -> None:
    rows = 12_345
    columns = np.zeros(rows, "u4"), np.zeros(rows, "u2"), BEGIN + np.arange(rows) * 1000
    history.add_observations(0, 0, ["a"], *columns, np.arange(rows, dtype="f8"), np.zeros(rows, "u1"))
    history.complete(0, 0)
    await history.settled()
    assert await values(history, "a") == list(range(rows))
    assert history.counters() == {
        "history_points": rows, "history_dropped": 0, "history_spilled_bytes": 0, "history_buffered": 0,
    }  # fmt: skip


@pytest.mark.fault
async def test_a_server_that_goes_and_comes_back_gets_everything(own_influx: Server, tmp_path: Path) -> None:
    settings = own_influx.settings(tmp_path / "spill")
    await prepare(settings)
    history = InfluxHistory(settings, writes=True)
    for offset in range(300):
        if offset == 100:
            own_influx.stop()
        if offset == 200:
            own_influx.start()
        observe(history, offset, ["a", "b"], float(offset))
        history.add_facts(0, offset + 1000, [])
        await history.settled()
        if offset == 150:
            assert history.counters()["history_spilled_bytes"] > 0
            with pytest.raises(HistoryUnavailable):
                await values(history, "a")
    await until(lambda: history.counters()["history_spilled_bytes"] == 0)
    assert await values(history, "a") == await values(history, "b") == list(range(300))
    assert history.counters()["history_dropped"] == 0
    assert history.counters()["history_points"] >= 600
    history.close()


CHILD = """
import asyncio, os, sys
from pathlib import Path
from streams.history.influx import InfluxHistory
from streams.settings import Settings
from tests.streams.history.influx.test_writing import observe

async def play():
    history = InfluxHistory(Settings(influx_url="http://127.0.0.1:9", influx_spill=Path(sys.argv[1])), writes=True)
    for offset in range(500):
        observe(history, offset, ["a"], float(offset))
        if offset % 50 == 49:
            await history.settled()
    print("settled", flush=True)
    await asyncio.sleep(60)

asyncio.run(play())
"""


@pytest.mark.fault
async def test_what_a_killed_worker_left_is_written_by_the_next(settings: Settings) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, settings.influx_spill, stdout=subprocess.PIPE, cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout is not None
    while line := await child.stdout.readline():
        if line.strip() == b"settled":
            break
    os.kill(child.pid, signal.SIGKILL)
    await child.communicate()
    assert list(settings.spill_folder.rglob("*.lines"))
    history = InfluxHistory(settings, writes=True)
    await until(lambda: history.counters()["history_spilled_bytes"] == 0)
    assert await values(history, "a") == list(range(500))
    assert history.counters()["history_dropped"] == 0
    history.close()


async def test_what_is_complete_when_it_ends_is_not_lost(settings: Settings) -> None:
    history = InfluxHistory(settings, writes=True)
    for offset in range(50):
        observe(history, offset, ["a"], float(offset))
    history.close()
    await history.settled()
    with pytest.raises(HistoryUnavailable, match="closed"):
        await values(history, "a")
    reader = InfluxHistory(settings, writes=False)
    assert await values(reader, "a") == list(range(50))
    assert reader.counters() == {}
    reader.close()


async def test_a_line_that_is_refused_takes_no_other_with_it(
    history: InfluxHistory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = line_protocol.tag
    monkeypatch.setattr(line_protocol, "tag", lambda text: b"" if text.startswith("bad") else real(text))
    patients = [f"p{number}" for number in range(200)]
    observe(history, 0, [*patients[:90], "bad 1", *patients[90:], "bad 2"])
    await history.settled()
    assert history.counters()["history_dropped"] == 2
    assert history.counters()["history_points"] == 200
    for patient in (patients[0], patients[89], patients[90], patients[-1]):
        assert await values(history, patient) == [1.0]


async def test_a_point_older_than_is_kept_is_counted_and_its_neighbours_stay(history: InfluxHistory) -> None:
    history.add_observations(
        0,
        0,
        ["a"],
        np.zeros(3, "u4"),
        np.zeros(3, "u2"),
        np.array([BEGIN, 5, BEGIN + 1]),
        np.ones(3),
        np.zeros(3, "u1"),
    )
    history.complete(0, 0)
    await history.settled()
    assert len(await values(history, "a")) == 2
    assert (history.counters()["history_points"], history.counters()["history_dropped"]) == (2, 1)


class UnreliableInflux:
    """A server that answers like InfluxDB, as the test wants, and keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.asked: list[float] = []
        self.answers: list[object] = []
        self.hangs_s = 5.0

    async def write(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append(time.monotonic())
        answer = self.answers.pop(0) if self.answers else 204
        if answer == "hang":
            await asyncio.sleep(self.hangs_s)
        if isinstance(answer, tuple):
            return web.Response(status=answer[0], headers={"Retry-After": str(answer[1])}, text="{}")
        if answer == 204:
            self.taken.append(body)
        return web.Response(status=204 if answer == "hang" else int(str(answer)), text="")

    async def serve(self) -> tuple[web.AppRunner, str]:
        app = web.Application()
        app.router.add_post("/api/v2/write", self.write)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        assert site._server is not None
        return runner, f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "answers", [[(503, 1)], [(429, 1)], [500, 503], [401], ["hang"], [413, 413]], ids=lambda answers: str(answers[0])
)
async def test_what_is_not_taken_at_once_is_brought_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list
) -> None:
    monkeypatch.setattr(writer, "_LIVE_S", 0.3)
    moody = UnreliableInflux()
    moody.answers = list(answers)
    runner, url = await moody.serve()
    history = InfluxHistory(Settings(influx_url=url, influx_spill=tmp_path), writes=True)
    for number in range(4):
        observe(history, number, ["a", "b", "c", "d"], float(number))
        await history.settled()
    await until(lambda: not moody.answers and history.counters()["history_spilled_bytes"] == 0)
    assert b"".join(moody.taken).count(b"\n") == 16
    order = [line.split(b"value=")[1][:1] for line in b"".join(moody.taken).splitlines()]
    assert order == sorted(order)
    assert history.counters()["history_points"] == 16
    assert history.counters()["history_dropped"] == 0
    if isinstance(answers[0], tuple):
        assert moody.asked[1] - moody.asked[0] >= 0.95
    await asyncio.to_thread(history.close)
    await runner.cleanup()


async def test_a_server_that_hangs_holds_nobody_up_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_LIVE_S", 0.2)
    monkeypatch.setattr(writer, "_AGAIN_S", 3600.0)
    monkeypatch.setattr(writer, "_BACK_OFF_S", (0.01, 0.01))
    moody = UnreliableInflux()
    moody.answers, moody.hangs_s = ["hang", "hang"], 3600.0
    runner, url = await moody.serve()
    history = InfluxHistory(Settings(influx_url=url, influx_spill=tmp_path), writes=True)
    observe(history, 0, ["a"])
    await history.settled()
    await until(lambda: len(moody.asked) == 2)  # the second is tried again from the disk, for an hour
    for number in range(1, 20):
        observe(history, number, ["a"])
        await history.settled()
    assert len(moody.asked) == 2  # it hangs still, and nobody has waited for it
    assert history.counters()["history_spilled_bytes"] > 0
    await asyncio.to_thread(history.close)
    again = InfluxHistory(Settings(influx_url=url, influx_spill=tmp_path), writes=True)
    await until(lambda: again.counters()["history_spilled_bytes"] == 0)
    assert b"".join(moody.taken).count(b"\n") == 20
    await asyncio.to_thread(again.close)
    await runner.cleanup()


async def test_a_busy_server_is_relieved_by_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "BUSY_ROWS", 0)
    moody = UnreliableInflux()
    runner, url = await moody.serve()
    history = InfluxHistory(Settings(influx_url=url, influx_spill=tmp_path), writes=True)
    observe(history, 0, ["a", "b"])
    await history.settled()
    await until(lambda: bool(moody.taken) and history.counters()["history_spilled_bytes"] == 0)
    assert moody.taken[0].count(b"\n") == 2
    await asyncio.to_thread(history.close)
    await runner.cleanup()


async def test_what_memory_cannot_hold_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.history.influx.history.MOST_ROWS", 3)
    history = InfluxHistory(Settings(influx_url="http://127.0.0.1:9", influx_spill=tmp_path), writes=True)
    for offset in range(5):
        history.add_observations(
            0, offset, ["a"], np.zeros(1, "u4"), np.zeros(1, "u2"), np.zeros(1, "i8"), np.ones(1), np.zeros(1, "u1")
        )
    assert history.counters()["history_dropped"] == 2
    await asyncio.to_thread(history.close)
