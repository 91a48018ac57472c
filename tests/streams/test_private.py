import fcntl
import os
import sqlite3
import stat
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from streams.embedded.lock import FileLock
from streams.embedded.schema import open_file
from streams.private import keep_private


@pytest.fixture(params=[0o000, 0o022])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.usefixtures("umask")
def test_a_new_file_is_its_owners_with_everything_beside_it(tmp_path):
    path = tmp_path / "vt.db"
    connection = open_file(path, 1)
    assert {each.name: mode(each) for each in tmp_path.iterdir()} == {
        "vt.db": 0o600, "vt.db-wal": 0o600, "vt.db-shm": 0o600
    }  # fmt: skip
    connection.close()


@pytest.mark.usefixtures("umask")
def test_an_older_one_with_wider_rights_is_tightened_and_said(tmp_path):
    path = tmp_path / "vt.db"
    older = sqlite3.connect(path, isolation_level=None)
    older.execute("PRAGMA journal_mode=WAL")
    older.execute("CREATE TABLE kept (value)")
    for each in tmp_path.iterdir():
        each.chmod(0o664)
    with capture_logs() as said:
        open_file(path, 1).close()
    assert {mode(each) for each in tmp_path.iterdir()} == {0o600}
    assert {entry["event"] for entry in said} == {"was readable by others"}
    assert len(said) == 3
    older.close()


def test_narrower_rights_stay_and_what_is_beside_is_not_made(tmp_path):
    path = tmp_path / "narrow"
    path.touch(0o400)
    keep_private(path, "-wal")
    assert mode(path) == 0o400
    assert [each.name for each in tmp_path.iterdir()] == ["narrow"]


def test_a_file_that_cannot_be_made_is_left_to_who_opens_it(tmp_path):
    keep_private(tmp_path / "nowhere" / "vt.db")
    assert list(tmp_path.iterdir()) == []


def test_a_look_lets_go_of_no_lock_of_sqlites(tmp_path):
    """Another process must still find the file in use after this process has checked its rights."""
    path = tmp_path / "vt.db"
    path.touch(0o600)
    holder = path.open("r+b")
    fcntl.lockf(holder, fcntl.LOCK_EX)
    keep_private(path, "-wal", "-shm")
    taken = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
    other = subprocess.run([sys.executable, "-c", taken, path], capture_output=True, text=True, check=False)
    assert "BlockingIOError" in other.stderr
    holder.close()


def test_an_older_lock_is_tightened_too(tmp_path):
    path = tmp_path / "vt.db"
    (tmp_path / "vt.db.lock").touch(0o644)
    lock = FileLock(path)
    assert mode(tmp_path / "vt.db.lock") == 0o600
    lock.release()
