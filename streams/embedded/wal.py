"""Checkpoint the write-ahead file into the embedded file in a thread of its own, so that no reading waits for it."""

import sqlite3
import threading
from pathlib import Path

import structlog

from streams.embedded.schema import open_beside

__all__ = ["WalCheckpoints"]

_logger = structlog.get_logger(__name__)

_EVERY_S = 2.0
_LARGE_PAGES = 4000


class WalCheckpoints:
    """A thread that moves committed pages from the ``-wal`` file to their place.

    A committed page is durable in either file: a checkpoint that fails loses nothing and is tried again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="wal-checkpoints", daemon=True)
        self.trouble = ""
        """Why the last checkpoint failed; empty while they succeed."""
        self.pages = 0
        """Pages in the ``-wal`` file at the last look."""
        self.due = False
        """Whether the file has grown large, so that the writer should call ``finish``."""

    def start(self) -> None:
        """Begin; from now on ``GroupCommit``'s connection does not checkpoint by itself."""
        self._thread.start()

    def stop(self) -> None:
        """End when a running checkpoint is done."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        connection: sqlite3.Connection | None = None
        try:
            while not self._stopping.wait(_EVERY_S):
                try:
                    connection = connection or open_beside(self._path)
                    self._move(connection)
                    self.trouble = ""
                except Exception as error:  # noqa: BLE001 - whatever the error, the next try may succeed
                    self.trouble = f"the write-ahead file cannot be emptied: {error}"
                    _logger.warning("the write-ahead file cannot be emptied", reason=str(error), pages=self.pages)
        finally:
            if connection is not None:
                connection.close()

    def _move(self, connection: sqlite3.Connection) -> None:
        # A passive checkpoint never waits; under load the writer is always a little ahead of it.
        _, self.pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        self.due = self.pages > _LARGE_PAGES

    def finish(self, connection: sqlite3.Connection) -> None:
        """Move the few pages left, on the writer's connection between two commits; its next commit starts a new file.

        Another connection would have to win the lock against a writer that almost never releases it.
        """
        self.due = False
        try:
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            self.trouble = f"the write-ahead file cannot be emptied: {error}"
