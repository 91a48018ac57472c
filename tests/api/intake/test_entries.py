"""JSON bodies to columns: the strict reader and the slow reader agree, and every refusal has its reason."""

import contextlib
import json
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.problems import Problem
from api.intake import entries
from api.intake import split as cutting
from streams.log import times as moments
from twins.signals import BY_NAME

GOOD = {"patient": "p1", "signal": "heart_rate", "time": "2026-01-01T00:00:00.250Z", "value": 72}


def body(*wanted):
    return json.dumps(list(wanted)).encode()


def only_reason(batch):
    assert len(batch.refusals) == 1
    return batch.refusals.faults[0].reason


def test_an_object_and_an_array_read_the_same():
    one, many = entries.read_json(json.dumps(GOOD).encode()), entries.read_json(body(GOOD))
    assert one.columns.patients == many.columns.patients == ["p1"]
    assert one.columns.time.tolist() == many.columns.time.tolist() == [1_767_225_600_250_000]
    assert one.columns.value.tolist() == [72.0]


def test_lines_with_empty_ones_between():
    text = b"\n".join([json.dumps(GOOD).encode(), b"", b"  ", json.dumps(GOOD | {"value": 73}).encode(), b""])
    assert entries.read_lines(text).columns.value.tolist() == [72.0, 73.0]


def test_units_become_the_signals_own():
    batch = entries.read_json(
        body(GOOD | {"signal": "glucose", "unit": "mmol/L", "value": 5.0}, GOOD | {"unit": "/min"})
    )
    assert batch.columns.value.tolist() == [5.0 * 18.0156, 72.0]
    assert batch.columns.signal.tolist() == [BY_NAME["glucose"].code, 0]


def test_many_readings_of_few_patients_name_them_once():
    batch = entries.read_json(body(*[GOOD | {"patient": f"p{n % 3}"} for n in range(30)]))
    assert batch.columns.patients == ["p0", "p1", "p2"]
    assert batch.columns.patient.tolist() == [n % 3 for n in range(30)]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (5, "not_an_object"),
        (None, "not_an_object"),
        ([], "not_an_object"),
        ({}, "missing_field"),
        ({name: value for name, value in GOOD.items() if name != "value"}, "missing_field"),
        (GOOD | {"value": "72"}, "wrong_type"),
        (GOOD | {"value": True}, "wrong_type"),
        (GOOD | {"value": None}, "wrong_type"),
        (GOOD | {"value": "NaN"}, "not_finite"),
        (GOOD | {"value": math.nan}, "not_finite"),
        (GOOD | {"value": -math.inf}, "not_finite"),
        (GOOD | {"value": 10**400}, "not_finite"),
        (GOOD | {"patient": 7}, "wrong_type"),
        (GOOD | {"unit": 7}, "wrong_type"),
        (GOOD | {"time": 1767225600}, "wrong_type"),
        (GOOD | {"signal": "mood"}, "unknown_signal"),
        (GOOD | {"unit": "kg"}, "unknown_unit"),
        (GOOD | {"time": "2026-01-01T00:00:00"}, "time_without_zone"),
        (GOOD | {"time": "yesterday"}, "time_unreadable"),
        (GOOD | {"time": "2026-02-30T00:00:00Z"}, "time_unreadable"),
        (GOOD | {"time": ""}, "time_unreadable"),
    ],
)
def test_a_bad_entry_has_a_reason_and_costs_no_neighbour(entry, reason):
    batch = entries.read_json(body(GOOD, entry, GOOD | {"value": 73}))
    assert batch.columns.value.tolist() == [72.0, 73.0]
    assert only_reason(batch) == reason
    assert batch.refusals.faults[0].index == 1
    assert batch.entries(np.arange(2)).tolist() == [0, 2]
    raw = batch.bytes_of(1)
    assert raw in {json.dumps(entry).encode(), msgspec.json.encode(entry)}


ERROR = {"patient": "p1", "signal": "heart_rate", "time": "2026-01-01T00:00:00.250Z", "status": "entered-in-error"}


@pytest.mark.parametrize("error", [ERROR, ERROR | {"value": 72}, ERROR | {"value": None}])
def test_an_entry_entered_in_error_is_taken_back(error):
    for batch in (
        entries.read_json(json.dumps(error).encode()),
        entries.read_json(body(error)),
        entries.read_lines(json.dumps(error).encode()),
    ):
        assert (len(batch), len(batch.refusals)) == (0, 0)
        assert batch.errors.columns.patients == ["p1"]
        assert batch.errors.columns.time.tolist() == [1_767_225_600_250_000]


def test_a_status_told_in_another_spelling_of_json_is_told_as_well():
    batch = entries.read_json(body(GOOD, ERROR | {"value": 1}).replace(b"in-error", b"in\\u002derror"))
    assert (len(batch), len(batch.errors)) == (1, 1)


@pytest.mark.parametrize(
    "status", ["final", "preliminary", "registered", "amended", "corrected", "appended", "unknown", "", None]
)
def test_a_status_under_which_a_value_is_a_reading(status):
    batch = entries.read_json(body(GOOD, GOOD | {"status": status}))
    assert (len(batch), batch.errors, len(batch.refusals)) == (2, None, 0)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("cancelled", "status_not_taken"),
        ("F", "status_not_taken"),
        ("Entered-In-Error", "status_not_taken"),
        ("specimen-in-process", "status_not_taken"),
        (7, "wrong_type"),
        (["final"], "wrong_type"),
    ],
)
def test_under_another_status_nothing_is_a_reading(status, reason):
    for batch in (
        entries.read_json(body(GOOD, GOOD | {"status": status})),
        entries.read_lines(b"\n".join(json.dumps(GOOD | extra).encode() for extra in ({}, {"status": status}))),
    ):
        assert (len(batch), batch.errors, only_reason(batch)) == (1, None, reason)


def refused(entry):
    batch = entries.read_json(body(entry))
    assert len(batch) == 0
    return batch.refusals.faults[0]


GLUCOSE = GOOD | {"signal": "glucose", "value": 22.1}


@pytest.mark.parametrize("signal", ["glucose", "capillary_glucose", "blood_glucose"])
def test_a_glucose_without_a_unit_is_asked_for_it(signal):
    fault = refused(GLUCOSE | {"signal": signal})
    assert fault.reason == "unit_missing"
    assert "mg/dL" in fault.detail
    assert "mmol/L" in fault.detail


def test_the_refusal_of_a_unit_names_one_spelling_of_each_and_the_likeliest():
    fault = refused(GLUCOSE | {"unit": "mmol/litre"})
    assert fault.reason == "unknown_unit"
    assert "did you mean mmol/L?" in fault.detail
    assert fault.detail.endswith("known: mg/dL, mmol/L, g/L")


@pytest.mark.parametrize(
    ("signal", "word", "value"),
    [
        ("glucose", "LOW", 39.0),
        ("glucose", "High", 401.0),
        ("glucose", " HI ", 401.0),
        ("capillary_glucose", "LO", 19.0),
    ],
)
def test_the_word_of_a_sensor_at_the_end_of_its_range(signal, word, value):
    for unit in ({}, {"unit": "mmol/L"}):
        batch = entries.read_json(body(GLUCOSE | {"signal": signal, "value": word} | unit))
        assert batch.columns.value.tolist() == [value]


@pytest.mark.parametrize(("signal", "word"), [("heart_rate", "LOW"), ("glucose", "LOWER"), ("glucose", "<40")])
def test_other_words_are_no_values(signal, word):
    assert refused(GLUCOSE | {"signal": signal, "value": word, "unit": "mg/dL"}).reason in {
        "wrong_type",
        "unknown_unit",
    }


@pytest.mark.parametrize(
    "time",
    ["1767225600", "1767225600000", "1767225600Z", "1712010100Z", "", " ", "Z", "now", "nowZ", "todayZ", "NaT", "2026Z",
     "2026-01-01Z", "1000000-01-01T00:00:00Z", "+1000000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_is_no_moment_is_refused_alone_and_beside_good_ones(time):
    assert refused(GOOD | {"time": time}).reason in {"time_unreadable", "time_without_zone"}
    batch = entries.read_json(body(GOOD, GOOD | {"time": time}))
    assert len(batch) == 1


@pytest.mark.parametrize("time", [1_767_225_600, 1_767_225_600_000, 1.5])
def test_a_time_that_is_a_number_is_told_what_a_time_is(time):
    fault = refused(GOOD | {"time": time})
    assert fault.reason == "wrong_type"
    assert "2026-01-01T00:00:00.000Z" in fault.detail


def test_entries_of_both_kinds_keep_their_places():
    noted = GOOD | {"status": "final", "note": "not entered-in-error"}
    batch = entries.read_json(body(ERROR, GOOD, ERROR | {"patient": "p2"}, {"value": 1}, noted))
    assert batch.entries(np.arange(2)).tolist() == [1, 4]
    assert batch.errors.entries(np.arange(2)).tolist() == [0, 2]
    assert batch.errors.refusals is batch.refusals
    assert batch.refusals.faults[0].index == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"status": "entered-in-error"}, "missing_field"),
        ({name: value for name, value in ERROR.items() if name != "time"}, "missing_field"),
        (ERROR | {"patient": 7}, "wrong_type"),
        (ERROR | {"signal": "mood"}, "unknown_signal"),
        (ERROR | {"time": "yesterday"}, "time_unreadable"),
        (ERROR | {"status": ["entered-in-error"]}, "missing_field"),
    ],
)
def test_a_bad_entry_in_error_is_refused_by_itself(error, reason):
    batch = entries.read_json(body(GOOD, error, ERROR))
    assert only_reason(batch) == reason
    assert batch.refusals.faults[0].index == 1
    assert (len(batch), len(batch.errors)) == (1, 1)


def test_invalid_utf8_in_one_entry():
    batch = entries.read_json(body(GOOD, GOOD).replace(b"p1", b"p\xff", 1))
    assert len(batch) == 1
    assert only_reason(batch) == "invalid_utf8"


@pytest.mark.parametrize("text", [b"", b" ", b"{", b"[1,", b"nope", b"\xff\xfe", b'{"a":' * 100_000, b"[" * 100_000])
def test_what_is_no_json_is_a_problem(text):
    with pytest.raises(Problem) as caught:
        entries.read_json(text)
    assert caught.value.kind.slug == "malformed-body"


def test_too_many_entries():
    with pytest.raises(Problem) as caught:
        entries.read_json(b"[" + b"1," * cutting.MOST_ENTRIES + b"1]")
    assert caught.value.kind.slug == "body-too-large"


@given(st.binary(max_size=200))
def test_no_bytes_break_the_readers(raw):
    for read in (entries.read_json, entries.read_lines):
        with contextlib.suppress(Problem):
            read(raw)


TIMES = st.datetimes(min_value=moments._EPOCH.replace(tzinfo=None, year=1), timezones=st.just(moments.UTC))


@given(st.lists(TIMES, min_size=1, max_size=20), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_a_column_of_times_is_each_time(found, spec):
    texts = [moment.isoformat(timespec=spec).replace("+00:00", "Z") for moment in found]
    assert moments.column(texts).tolist() == [moments.moment(text) for text in texts]


@given(st.lists(st.text("0123456789-T:.Z", min_size=20, max_size=24), min_size=1, max_size=4))
def test_a_column_refuses_what_a_moment_refuses(texts):
    try:
        each = [moments.moment(text) for text in texts]
    except ValueError:
        with pytest.raises(ValueError, match="time_"):
            moments.column(texts)
    else:
        assert moments.column(texts).tolist() == each
