"""Files with what InfluxDB has not taken."""

import errno
from pathlib import Path

import pytest

from streams.spool import spill
from streams.spool.spill import Spill, SpoolEntry

MUCH = 1 << 30


def entry(number: int) -> SpoolEntry:
    return SpoolEntry(number % 2, number + 1, b"line %d\n" % number * (number + 1))


def drained(one: Spill) -> list[SpoolEntry]:
    found = []
    while (next_ := one.first()) is not None:
        assert one.first() == next_
        found.append(next_)
        one.pop()
    return found


@pytest.mark.parametrize("file_bytes", [1, 100, 1 << 20])
def test_in_order_and_again_after_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file_bytes: int) -> None:
    monkeypatch.setattr(spill, "FILE_BYTES", file_bytes)
    one = Spill(tmp_path, MUCH)
    for number in range(10):
        one.append(entry(number))
    assert one.first() == entry(0)
    one.pop()
    one.append(entry(10))
    one.sync()
    one.close()
    again = Spill(tmp_path, MUCH)
    again.append(entry(11))
    result = drained(again)
    # An unfinished file is read again from its beginning: the same points again do no harm.
    assert result[-11:] == [entry(number) for number in range(1, 12)]
    assert len(result) <= 12
    assert (again.empty, again.bytes, list(tmp_path.rglob("*.lines"))) == (True, 0, [])
    again.close()


def test_what_is_torn_at_the_end_is_left_out(tmp_path: Path) -> None:
    one = Spill(tmp_path, MUCH)
    one.append(entry(1))
    one.append(entry(2))
    one.close()
    (file,) = tmp_path.rglob("*.lines")
    file.write_bytes(file.read_bytes()[:-3])
    again = Spill(tmp_path, MUCH)
    again.append(entry(3))
    assert drained(again) == [entry(1), entry(3)]
    again.close()


def test_the_oldest_go_and_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill, "FILE_BYTES", 400)
    one = Spill(tmp_path, 2000)
    entries = [SpoolEntry(0, 7, b"x" * 150) for _ in range(50)]
    for each in entries:
        one.append(each)
        assert sum(file.stat().st_size for file in tmp_path.rglob("*.lines")) == one.bytes <= 2000
    kept = drained(one)
    assert kept
    assert one.dropped + 7 * len(kept) == 7 * 50
    one.close()


def test_two_workers_have_each_their_own_and_the_dead_one_s_is_taken_over(tmp_path: Path) -> None:
    one, other = Spill(tmp_path, MUCH), Spill(tmp_path, MUCH)
    one.append(entry(1))
    other.append(entry(2))
    assert not one.adopt()
    other.close()
    assert one.adopt()
    one.append(entry(3))
    assert sorted(drained(one)) == sorted([entry(1), entry(2), entry(3)])
    assert not one.adopt()
    assert one.bytes == 0
    one.close()


class FullDisk:
    """A file on a disk with ``room`` bytes left."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, body: bytes) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "full")
        written = self.file.write(body[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name: str):
        return getattr(self.file, name)


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path) -> None:
    one = Spill(tmp_path, MUCH)
    one.append(entry(1))
    real = one._out
    one._out = FullDisk(real, 5)
    with pytest.raises(OSError, match="full"):
        one.append(entry(2))
    one._out = real
    one.append(entry(3))
    assert drained(one) == [entry(1), entry(3)]
    one.close()


def test_small_entries_of_one_bucket_are_joined(tmp_path: Path) -> None:
    one = Spill(tmp_path, MUCH)
    for bucket, lines in ((0, 2), (0, 3), (0, 1), (1, 1), (1, 9), (0, 1)):
        one.append(SpoolEntry(bucket, lines, b"%d\n" % lines * lines))
    found = []
    while (joined := one.first(5)) is not None:
        assert one.first(5) == joined
        found.append((joined.bucket, joined.lines, joined.body.count(b"\n")))
        one.pop()
    assert found == [(0, 5, 5), (0, 1, 1), (1, 1, 1), (1, 9, 9), (0, 1, 1)]
    assert one.empty
    one.close()
