"""Entries found in a body: Python's own JSON reader confirms their places."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twins.compiled.parsing import MALFORMED, TOO_DEEP, TOO_MANY, WHOLE, cut_array, cut_lines

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def cut(body, most=1000, deepest=64):
    starts, ends, deep = np.empty(most, np.int64), np.empty(most, np.int64), np.zeros(most, np.uint8)
    count, found = cut_array(np.frombuffer(body, np.uint8), deepest, starts, ends, deep)
    return found, [body[starts[n] : ends[n]] for n in range(count)], deep[:count].tolist()


def depth(value):
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(st.lists(JSON, max_size=8), st.sampled_from([None, 1]), st.booleans(), st.integers(1, 4))
def test_each_entry_is_where_json_finds_it(entries, indent, ascii_only, deepest):
    body = json.dumps(entries, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found, raws, deep = cut(body, deepest=deepest)
    assert found == WHOLE
    assert raws == [raw.strip() for raw in raws]
    assert list(map(repr, map(json.loads, raws))) == list(map(repr, entries))  # as text: NaN is not itself
    assert deep == [1 + depth(entry) > deepest for entry in entries]


@given(st.lists(JSON, min_size=1, max_size=5), st.data())
def test_an_array_that_was_cut_short_is_not_whole(entries, data):
    body = json.dumps(entries).encode()
    assert cut(body[: data.draw(st.integers(0, len(body) - 1))])[0] == MALFORMED


@given(st.text(alphabet='[]{},:"\\ 1a\n', max_size=30))
def test_any_array_that_json_reads_is_cut_in_the_same_way(text):
    found, raws, _ = cut(text.encode())
    try:
        wanted = json.loads(text)
    except ValueError:
        return
    assert (found == WHOLE) == isinstance(wanted, list)
    assert not isinstance(wanted, list) or [json.loads(raw) for raw in raws] == wanted


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{}", b"[", b"[1,]", b"[,1]", b"[1,,2]", b"[1]]", b"[1] 2", b'["a', b'["\\"]']
)
def test_what_is_no_array(body):
    assert cut(body)[0] == MALFORMED


def test_entries_are_limited_by_the_room_for_them():
    assert cut(b"[1,2,3]", most=3)[0] == WHOLE
    assert cut(b"[1,2,3,4]", most=3) == (TOO_MANY, [b"1", b"2", b"3"], [0, 0, 0])


def test_an_array_that_only_opens_is_too_deep():
    assert cut(b"[" * 100)[0] == TOO_DEEP
    assert cut(b"[" + b'{"a":' * 100)[0] == TOO_DEEP


@given(st.lists(st.binary(max_size=6), max_size=12))
def test_lines_are_those_with_content(lines):
    body = b"\n".join(lines)
    wanted = [line.strip() for line in body.split(b"\n") if line.strip()]
    starts, ends = np.empty(20, np.int64), np.empty(20, np.int64)
    many = len(wanted) > len(starts)
    count, found = cut_lines(np.frombuffer(body, np.uint8), starts, ends)
    assert found == (TOO_MANY if many else WHOLE)
    assert many or [body[starts[n] : ends[n]] for n in range(count)] == wanted
