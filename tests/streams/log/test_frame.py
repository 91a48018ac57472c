"""The frame decoder against bytes of every kind, and the columns through joining and splitting."""

from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streams.errors import FrameError
from streams.log.frame import REASONS, Verdict, check, decode_frame, encode_frame, join, split
from twins.records import Columns
from twins.signals import SIGNALS

FIELDS = ("patient", "signal", "time", "value")


@st.composite
def columns(draw, most=30):
    """Well-formed readings with any content."""
    names = draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=4))
    count = draw(st.integers(0, most))

    def column(elements, dtype):
        return np.array(draw(st.lists(elements, min_size=count, max_size=count)), dtype)

    return Columns(
        names,
        column(st.integers(0, len(names) - 1), "<u4"),
        column(st.integers(0, 65_535), "<u2"),
        column(st.integers(-(1 << 63), (1 << 63) - 1), "<i8"),
        column(st.floats(), "<f8"),
    )


def rows(taken):
    """Readings as tuples that compare bit for bit."""
    names = [taken.patients[place] for place in taken.patient.tolist()]
    return list(zip(names, taken.signal.tolist(), taken.time.tolist(), taken.value.view("<u8").tolist(), strict=True))


@given(columns())
def test_what_is_encoded_is_decoded(sent):
    assert rows(decode_frame(encode_frame(sent))) == rows(sent)


@given(st.binary(max_size=300))
@example(b"")
@example(b"\xc1")
@example(b"\x91" * 300)
def test_foreign_bytes_are_refused_with_a_reason(body):
    with pytest.raises(FrameError) as refused:
        decode_frame(body)
    assert refused.value.reason == "malformed_frame"
    assert refused.value.detail


@given(columns(), st.data())
def test_damaged_frames_are_refused_or_read_never_anything_else(sent, data):
    body = bytearray(encode_frame(sent))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    body = body[: data.draw(st.integers(0, len(body)))]
    try:
        taken = decode_frame(bytes(body))
    except FrameError:
        return
    verdict = check(taken, now=0, future_us=1 << 40, oldest_us=1 << 40)
    assert len(verdict) == len(taken)
    assert set(verdict.tolist()) <= {int(one) for one in Verdict}


@given(st.dictionaries(st.sampled_from([*FIELDS, "patients", "type", "version", "source"]), st.one_of(
    st.none(), st.booleans(), st.integers(-5, 1 << 64 - 1), st.floats(), st.text(max_size=4), st.binary(max_size=40),
    st.lists(st.text(max_size=3), max_size=3),
)))  # fmt: skip
def test_maps_of_other_things_are_refused_or_read(members):
    body = msgspec.msgpack.encode({"type": "frame", "version": 1, "received": 0} | members)
    with suppress(FrameError):
        assert len(decode_frame(body).patients) == len(members.get("patients", []))


@given(columns(), st.integers(-(1 << 40), 1 << 40))
def test_each_reading_is_judged_by_its_own(sent, now):
    verdict = check(sent, now, future_us=60_000_000, oldest_us=3_600_000_000)
    for at, result in enumerate(verdict.tolist()):
        time, value = int(sent.time[at]), float(sent.value[at])
        wrong = {
            Verdict.TIME_IN_FUTURE: time > now + 60_000_000,
            Verdict.TIME_TOO_OLD: time < now - 3_600_000_000,
            Verdict.NOT_FINITE: not np.isfinite(value),
            Verdict.UNKNOWN_SIGNAL: int(sent.signal[at]) >= len(SIGNALS),
        }
        assert bool(result) == any(wrong.values())
        if result:
            assert wrong[Verdict(result)]
            assert result in REASONS


@given(st.lists(columns(most=8), min_size=1, max_size=4), st.integers(1, 5), st.data())
def test_joined_and_split_again_every_reading_is_in_its_part_in_order(parts, count, data):
    joined = join(parts)
    assert rows(joined) == [row for part in parts for row in rows(part)]
    of = {name: data.draw(st.integers(0, count - 1)) for name in joined.patients}
    partition = np.array([of[name] for name in joined.patients], np.int64)
    whole = rows(joined)
    seen = []
    for number, (part, places) in enumerate(split(joined, partition, count)):
        assert rows(part) == [whole[place] for place in places]
        assert {of[name] for name, *_ in rows(part)} <= {number}
        seen.extend(places.tolist())
    assert sorted(seen) == list(range(len(whole)))
