"""Files of every format, kept small: three patients, ten minutes, ada with an acknowledged NEWS2 alarm.

``columns-1`` is of the first format and the first columns of a channel, ``columns-2`` of the same format with the second.
The names of later ones say all their formats; ``files/make.py`` makes the one of today's. Files of newer versions are
refused in a sentence.
"""

import lzma
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from streams.clock import Clock
from streams.embedded.restore import open_offline
from streams.embedded.schema import FORMAT, look
from streams.embedded.service import EmbeddedService
from streams.errors import LogUnavailable
from streams.history.nothing import NoHistory
from streams.settings import Settings
from streams.worker.worker import Worker
from tests.streams.embedded.files.make import NAME
from tests.streams.embedded.test_service import until
from twins.bank.checkpoint import VERSION
from twins.step.estimates import complete

FILES = Path(__file__).parent / "files"
LAST = 1_700_000_000_000_000 + 39 * 15_000_000


@pytest.fixture(params=sorted(FILES.glob("*.xz")), ids=lambda file: file.name.split(".")[0])
def older(request, tmp_path):
    """An older file, unpacked, with the alarms it showed."""
    path = tmp_path / "v.db"
    path.write_bytes(lzma.decompress(request.param.read_bytes()))
    return path


async def begun(path):
    service = EmbeddedService(
        Settings(database=path, partitions=2, tick_seconds=3600), Clock(origin_us=LAST + 1_000_000)
    )
    result = []
    service.listen(result.append)
    await service.start()
    return service, [outcome for outcome in result if outcome.complete]


def opened(path):
    with open_offline(path):
        pass


async def test_signals_and_alarms_are_there_after_an_upgrade(older):
    with closing(sqlite3.connect(older)) as file:
        query = "SELECT alarm FROM history_transition WHERE instr(body, CAST('acknowledged' AS BLOB)) > 0"
        acknowledged = {row[0] for row in file.execute(query)}
    assert acknowledged
    service, result = await begun(older)
    names = {name for outcome in result if outcome.estimates for name in outcome.estimates.patients}
    assert names == {"ada", "ben", "cleo"}
    assert sum(len(outcome.estimates.rows["time"]) for outcome in result if outcome.estimates) == 15
    assert {row for outcome in result if outcome.estimates for row in outcome.estimates.rows["time"].tolist()} == {
        max(row for outcome in result if outcome.estimates for row in outcome.estimates.rows["time"].tolist())
    }
    alarms = {one.alarm: one for outcome in result for one in outcome.transitions}
    assert {one for one, alarm in alarms.items() if alarm.presence == "acknowledged"} == acknowledged
    assert {alarms[one].condition for one in acknowledged} == {"news2.high"}
    (ada,) = [profile for outcome in result for profile in outcome.profiles if profile.patient == "ada"]
    assert (ada.ward, ada.oxygen, ada.limits) == ("A", 2.0, {"oxygen_saturation": {"critical_low": 80.0}})
    assert service.ward_limits("A") == {"heart_rate": {"high": 125.0}}
    assert await service.history.track_record(0, 0, 1 << 60) == []
    await service.stop()


async def test_its_twins_are_what_the_log_says(older):
    service, result = await begun(older)
    anew = Worker(NoHistory())
    with open_offline(older) as file:
        for partition in range(file.partitions):
            anew.assign(partition, ())
            for entry in file.entries(partition):
                anew.take(partition, entry.offset, entry.record)
    rebuilt = service.rebuilt
    for outcome in result:
        (partition, offset) = (outcome.partition, anew.offsets[outcome.partition])
        wanted = complete(anew.banks[partition], offset)
        if outcome.estimates and rebuilt:
            assert outcome.estimates.mean == wanted.estimates.mean
            assert outcome.estimates.belief == wanted.estimates.belief
    await service.stop()


async def test_it_is_made_anew_once(older):
    first, _ = await begun(older)
    anew = first.rebuilt
    assert first.counters()["twins_rebuilt"] == anew
    await first.stop()
    second, result = await begun(older)
    assert second.rebuilt == 0
    assert sum(len(outcome.estimates.rows["time"]) for outcome in result if outcome.estimates) == 15
    await second.stop()
    with closing(sqlite3.connect(older)) as file:
        facts = dict(file.execute("SELECT name, value FROM log_facts"))
    assert facts["format"] == FORMAT
    assert facts.get("columns", VERSION) == VERSION


async def test_where_the_log_no_longer_reaches_back_patients_stay_and_go_on(older):
    with closing(sqlite3.connect(older)) as file:
        file.execute("DELETE FROM log")
        file.commit()
    service, result = await begun(older)
    assert sorted(profile.patient for outcome in result for profile in outcome.profiles) == ["ada", "ben", "cleo"]
    assert [one.condition for outcome in result for one in outcome.transitions if one.presence == "acknowledged"] == [
        "news2.high"
    ]
    await until(lambda: service.health()["twins"] == "ok")
    await service.stop()


def test_a_file_of_todays_format_is_kept():
    """Whoever raises a format makes one: ``python -m tests.streams.embedded.files.make``."""
    assert (FILES / NAME).exists()


async def test_a_newer_history_in_the_file_is_refused_in_a_sentence_and_left_as_it_is(older):
    with closing(sqlite3.connect(older)) as file:
        file.execute("INSERT OR REPLACE INTO history_figure VALUES ('format', 99)")
        file.commit()
    before = older.read_bytes()
    sentence = r"v\.db: its history was written by a newer version of vitaltwin \(format 99; this one knows 1\)"
    with pytest.raises(LogUnavailable, match=sentence):
        await begun(older)
    for open_again in (opened, look):
        with pytest.raises(LogUnavailable, match=sentence):
            open_again(older)
    assert older.read_bytes() == before


@pytest.mark.parametrize("what", ["format", "columns"])
async def test_a_newer_file_is_refused_in_a_sentence_and_left_as_it_is(older, what):
    with closing(sqlite3.connect(older)) as file:
        file.execute("INSERT OR REPLACE INTO log_facts VALUES (?, 99)", (what,))
        file.commit()
    before = older.read_bytes()
    with pytest.raises(LogUnavailable, match=rf"newer version of vitaltwin \({what} 99"):
        await begun(older)
    with pytest.raises(LogUnavailable, match="newer version"), open_offline(older):
        pass
    assert older.read_bytes() == before
