"""What ``vitaltwin init`` creates, and that it changes nothing that exists."""

import asyncio
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import numpy as np
import pytest

from streams.clock import Clock
from streams.errors import HistoryUnavailable
from streams.history.influx import InfluxHistory, prepare
from streams.settings import Settings
from tests.streams.history.influx.conftest import Server

MINUTE = 60_000_000


def bucket(server: Server, name: str) -> list[dict]:
    return server.call(f"/api/v2/buckets?name={quote(name)}")["buckets"]


async def test_it_may_be_run_again(influx: Server, tmp_path: Path) -> None:
    settings = influx.settings(tmp_path, history_retention_days=10, alarm_retention_days=200)
    name = settings.influx_bucket
    made = await prepare(settings)
    assert made == dict.fromkeys(
        [f"bucket {name}", f"bucket {name}_alarms", f"bucket {name}_1m", f"task {name} by the minute"], True
    )
    assert set((await prepare(settings)).values()) == {False}
    names = [name, f"{name}_alarms", f"{name}_1m"]
    kept = {one: bucket(influx, one)[0]["retentionRules"][0]["everySeconds"] / 86_400 for one in names}
    assert kept == {name: 10, f"{name}_alarms": 200, f"{name}_1m": 200}
    for options in ({"history_retention_days": 11}, {"alarm_retention_days": 201}):
        with pytest.raises(HistoryUnavailable, match=r"keeps points (10|200) days, not"):
            await prepare(settings.model_copy(update=options))


async def test_settings_as_delivered_on_a_server_as_the_script_leaves_it(influx: Server, tmp_path: Path) -> None:
    delivered = Settings.model_fields["influx_bucket"].default
    assert all((await prepare(influx.settings(tmp_path, influx_bucket=delivered))).values())


async def test_a_mismatch_changes_nothing(influx: Server, tmp_path: Path) -> None:
    settings = influx.settings(tmp_path)
    organisation = influx.call("/api/v2/orgs")["orgs"][0]["id"]
    influx.call(
        "/api/v2/buckets",
        {"orgID": organisation, "name": f"{settings.influx_bucket}_1m", "retentionRules": []},
    )  # fmt: skip
    with pytest.raises(HistoryUnavailable, match="for ever, not 400 days"):
        await prepare(settings)
    assert bucket(influx, settings.influx_bucket) == []


async def test_the_task_thins_what_was_believed(settings: Settings, influx: Server, history: InfluxHistory) -> None:
    (task,) = influx.call(f"/api/v2/tasks?name={settings.influx_bucket.replace(' ', '%20')}%20by%20the%20minute")[
        "tasks"
    ]
    assert (task["status"], task["every"]) == ("active", "5m")
    begin = (Clock().now() // MINUTE - 5) * MINUTE
    rows = 120
    columns = np.zeros(rows, "u4"), np.zeros(rows, "u2"), begin + np.arange(rows) * 1_000_000
    status = np.where(np.arange(rows) % 4 == 0, 2, 0).astype("u1")
    history.add_observations(0, 0, ["a"], *columns, np.arange(rows, dtype="f8"), status)
    history.complete(0, 0)
    await history.settled()
    run = influx.call(f"/api/v2/tasks/{task['id']}/runs", {})
    state = ""
    for _ in range(200):
        # For a moment after a run ends, InfluxDB does not know it.
        with suppress(HTTPError):
            state = influx.call(f"/api/v2/tasks/{task['id']}/runs/{run['id']}")["status"]
        if state not in {"", "scheduled", "started"}:
            break
        await asyncio.sleep(0.05)
    assert state == "success"
    fields = {}
    for field in ("mean", "min", "max", "count"):
        flux = (
            f'from(bucket: "{settings.influx_bucket}_1m") |> range(start: -1h)'
            f' |> filter(fn: (r) => r._field == "{field}" and r.patient == "a") |> keep(columns: ["_time", "_value"])'
        )
        body = await history._link.ask(history._link.query(flux))
        fields[field] = [float(line.split(",")[-1]) for line in body.split()[1:] if line]
    good = np.arange(rows)[status == 0].reshape(2, -1)
    assert fields["count"] == [45, 45]
    assert fields["mean"] == good.mean(axis=1).tolist()
    assert fields["min"] == good.min(axis=1).tolist()
    assert fields["max"] == good.max(axis=1).tolist()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"influx_organisation": "nobody's"}, "no organisation nobody's"),
        ({"influx_token": "wrong"}, "refuses: .*nauthorized"),
        ({"influx_url": "http://127.0.0.1:9"}, "does not answer"),
    ],
)
async def test_what_cannot_be_is_said_plainly(influx: Server, tmp_path: Path, wrong: dict, reason: str) -> None:
    with pytest.raises(HistoryUnavailable, match=reason):
        await prepare(influx.settings(tmp_path, **wrong))
