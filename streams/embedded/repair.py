"""Make a file usable again that no service can start on: leave out what is damaged, set its time back to the machine's."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from streams.clock import Clock, set_back_us, span
from streams.embedded.commit import restamp
from streams.embedded.lock import FileLock
from streams.embedded.restore import Restored, renew, restore
from streams.embedded.salvage import salvage
from streams.embedded.schema import OFFSET_BITS, check_format, examine, open_file, sound
from streams.errors import LogUnavailable
from streams.history import SqliteHistory
from streams.log.log import encode_record
from streams.worker.site_models import site_models
from streams.worker.worker import Worker
from twins.records import Tick

__all__ = ["repair"]


def repair(path: Path, clock: Clock) -> list[str]:
    """Repair the file and return sentences that say what was done; a damaged file is kept beside the new one.

    Raises:
        LogInUse: a service is using the file.
        LogUnavailable: there is no file, a newer version wrote it, or nothing can be saved.
    """
    if not path.is_file():
        raise LogUnavailable(f"there is no {path}")
    lock = FileLock(path)
    done: list[str] = []
    try:
        verdict = _verdict(path)
        if verdict != "ok":
            lock, saved = _replaced(path, lock)
            done += [f"the file was damaged ({verdict})", saved]
        done += _mended(path, clock)
    finally:
        lock.release()
    return done


def _verdict(path: Path) -> str:
    try:
        return examine(path)
    except LogUnavailable as error:
        return str(error)


def _replaced(path: Path, lock: FileLock) -> tuple[FileLock, str]:
    whole = path.with_name(f"{path.name}.whole")
    whole.unlink(missing_ok=True)
    copied = salvage(path, whole)
    aside = next(place for at in range(1, 1_000) if not (place := path.with_name(f"{path.name}.damaged-{at}")).exists())
    lock.release()
    path.rename(aside)
    for ending in ("-wal", "-shm"):
        beside = path.with_name(path.name + ending)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + ending))
    os.chmod(whole, 0o600)  # noqa: PTH101
    whole.rename(path)
    rows = copied.get("log", 0)
    return FileLock(path), f"what could be read was copied, {rows:,} records of the log; the damaged file is {aside}"


def _mended(path: Path, clock: Clock) -> list[str]:
    with sound(path, "restore a backup"), closing(sqlite3.connect(path)) as looking:
        partitions = check_format(looking, path).get("partitions", 0)
    if not partitions:
        raise LogUnavailable(f"{path} holds no log")
    history = SqliteHistory(path)
    with sound(path, "restore a backup"), closing(open_file(path, partitions)) as connection, closing(history):
        history.create(connection)
        worker = Worker(history, site_models())
        found = restore(connection, worker, partitions)
        done = list(found.notes)
        if found.rebuilt:
            done.append(f"the twins of {found.rebuilt} patients were rebuilt from the log")
        back = set_back_us(found.last_received, clock.now())
        if back:
            _set_back(connection, worker, found, clock.now(), back)
            done.append(f"the log's time was set back by {span(back)}, to this machine's clock")
        if done:
            renew(connection, worker, history, found)
    return done


def _set_back(connection: sqlite3.Connection, worker: Worker, found: Restored, now: int, back: int) -> None:
    tick = Tick(now, back=back)
    connection.execute("BEGIN IMMEDIATE")
    restamp(connection, now)
    for partition, offset in enumerate(found.next_offsets):
        row = (partition << OFFSET_BITS | offset, now, encode_record(tick))
        connection.execute("INSERT INTO log VALUES (?, ?, ?)", row)
    connection.execute("COMMIT")
    for partition, offset in enumerate(found.next_offsets):
        worker.take(partition, offset, tick)
