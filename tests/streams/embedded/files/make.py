"""Make the kept file of today's format: ``python -m tests.streams.embedded.files.make``, once for every new format.

Its name says the format of the file, of the columns in its checkpoints, and of the history.
"""

import asyncio
import lzma
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from streams.clock import Clock
from streams.embedded.schema import FORMAT
from streams.embedded.service import EmbeddedService
from streams.history.sqlite.schema import FORMAT as HISTORY
from streams.settings import Settings
from tests.support.kept_ward import STEP_US, begin, readings
from twins.bank.checkpoint import VERSION
from twins.records import Acknowledge, Outcome

__all__ = ["NAME", "ORIGIN"]

ORIGIN = 1_700_000_000_000_000
NAME = f"format-{FORMAT}-columns-{VERSION}-history-{HISTORY}.db.xz"


async def _made(path: Path) -> None:
    service = EmbeddedService(Settings(database=path, partitions=2, tick_seconds=3600), Clock(origin_us=ORIGIN))
    result: list[Outcome] = []
    service.listen(result.append)
    await service.start()
    for record in begin(ORIGIN):
        await service.append(record)
    for step, columns in enumerate(readings(ORIGIN)):
        service.clock.advance_to(ORIGIN + step * STEP_US)
        await service.observe(columns, "monitor")
        while service.health()["lag_readings"]:  # noqa: ASYNC110 - threads set no event of this loop
            await asyncio.sleep(0.01)
    transitions = [one for outcome in result for one in outcome.transitions]
    alarm = next(one.alarm for one in transitions if one.condition == "news2.high")
    await service.append(Acknowledge(patient="ada", alarm=alarm, by="nurse", note="seen"))
    await service.stop()


def main() -> None:
    """Write the file beside this script."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "v.db"
        asyncio.run(_made(path))
        with closing(sqlite3.connect(path)) as file:
            file.execute("PRAGMA journal_mode=DELETE")
            file.execute("VACUUM")
        target = Path(__file__).with_name(NAME)
        target.write_bytes(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))
    print(target.name, target.stat().st_size, "bytes")  # noqa: T201 - a script


if __name__ == "__main__":
    main()
