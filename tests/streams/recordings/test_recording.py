"""Recorded files: what is read, and how an unreadable line is reported."""

import gzip

import numpy as np
import pytest

from streams.errors import RecordingError
from streams.recordings.recording import read, write
from twins.signals import BY_NAME

HEADER = "patient,time,signal,value,unit\n"


def file(tmp_path, text, name="r.csv"):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["r.csv", "r.csv.gz"])
def test_reads_times_units_and_patients(tmp_path, name):
    path = file(
        tmp_path,
        HEADER
        + "b,2000-01-01T00:00:00Z,heart_rate,94,/min\n"
        + "a,2000-01-01T00:00:00.250Z,glucose,5,mmol/L\n"
        + "b,2000-01-01T01:00:01+01:00,oxygen_saturation,97.5,\n",
        name,
    )
    recording = read(path)
    columns = recording.columns
    assert columns.patients == ["b", "a"]
    assert columns.patient.tolist() == [0, 1, 0]
    assert columns.signal.tolist() == [BY_NAME[n].code for n in ("heart_rate", "glucose", "oxygen_saturation")]
    assert (columns.time - columns.time[0]).tolist() == [0, 250_000, 1_000_000]
    assert columns.time[0] == 946_684_800_000_000
    assert columns.value.tolist() == pytest.approx([94, 90.078, 97.5])


def test_columns_in_another_order_bom_and_blank_lines(tmp_path):
    path = file(tmp_path, "\ufeffvalue,unit,patient,time,signal,extra\n80,/min,p,2020-01-01T00:00:00Z,heart_rate,x\n\n")
    assert read(path).columns.value.tolist() == [80.0]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("p,2000-01-01T00:00:00,heart_rate,1,/min", "no zone"),
        ("p,yesterday,heart_rate,1,/min", "not ISO 8601"),
        ("p,2000-13-01T00:00:00Z,heart_rate,1,/min", "not ISO 8601"),
        ("p,2000-01-01T00:00:00Z,mood,1,/min", "unknown signal 'mood'"),
        ("p,2000-01-01T00:00:00Z,heart_rate,1,mmHg", "has no unit 'mmHg'"),
        ("p,2000-01-01T00:00:00Z,heart_rate,high,/min", "'high' is not a number"),
        ("p,2000-01-01T00:00:00Z,heart_rate,nan,/min", "'nan' is not a finite number"),
        (",2000-01-01T00:00:00Z,heart_rate,1,/min", "no patient"),
        ("p,Z,heart_rate,1,/min", "time 'Z': not ISO 8601"),
        ("p,,heart_rate,1,/min", "time '': not ISO 8601"),
        ("p,nowZ,heart_rate,1,/min", "time 'nowZ': not ISO 8601"),
        ("p,1767225600,heart_rate,1,/min", "time '1767225600': not ISO 8601"),
        ("p,1767225600000Z,heart_rate,1,/min", "not ISO 8601"),
        ("p,1000000-01-01T00:00:00Z,heart_rate,1,/min", "not ISO 8601"),
        ("p,2000-01-01T00:00:00Z,glucose,100,", "glucose needs its unit; one of: mg/dL, mmol/L, g/L"),
        ("p,2000-01-01T00:00:00Z,heart_rate,LOW,/min", "'LOW' is not a number"),
        ("p,2000-01-01T00:00:00Z,heart_rate,1", "4 columns"),
    ],
)
def test_an_unreadable_line_is_named(tmp_path, line, reason):
    good = "p,2000-01-01T00:00:00Z,heart_rate,1,/min\n"
    with pytest.raises(RecordingError, match=r"line 4: .*" + reason):
        read(file(tmp_path, HEADER + good + good + line + "\n" + good))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "header must name"),
        (b"patient,time,signal\n", "missing: value, unit"),
        (HEADER.encode(), "has no readings"),
        (b"\x1f\x8btruncated", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path, body, reason):
    path = tmp_path / "r.csv"
    path.write_bytes(body)
    with pytest.raises(RecordingError, match=reason):
        read(path)
    with pytest.raises(RecordingError, match="cannot be read"):
        read(tmp_path / "missing.csv")


def test_selections_keep_names_and_readings_together(tmp_path):
    rows = [f"{p},2000-01-01T00:00:0{s}Z,{n},{v},{u}\n" for v, (p, s, n, u) in enumerate(
        [("a", 2, "heart_rate", ""), ("b", 1, "heart_rate", ""), ("c", 0, "glucose", "mg/dL"), ("b", 3, "glucose", "mg/dL")]
    )]  # fmt: skip
    recording = read(file(tmp_path, HEADER + "".join(rows)))
    assert recording.by_time().columns.value.tolist() == [2, 1, 0, 3]
    some = recording.of_patients({"b", "c"})
    assert some.columns.patients == ["b", "c"]
    assert [some.columns.patients[i] for i in some.columns.patient] == ["b", "c", "b"]
    assert some.columns.value.tolist() == [1, 2, 3]
    assert recording.of_patients(at_most=1).columns.patients == ["a"]
    assert recording.of_signals({"glucose"}).columns.value.tolist() == [2, 3]


def test_written_files_read_back_and_are_the_same_bytes(tmp_path):
    lines = [f"p,2000-01-01T00:00:0{s}Z,heart_rate,{80 + s},/min\n" for s in range(3)]
    first, second = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    assert write(first, lines) == write(second, lines) == 3
    assert first.read_bytes() == second.read_bytes()
    assert np.array_equal(read(first).columns.value, [80, 81, 82])


def test_together_every_patient_begins_with_the_first_and_keeps_its_intervals(tmp_path):
    file = tmp_path / "far_apart.csv"
    file.write_text(
        "patient,time,signal,value,unit\n"
        "b,2015-06-01T00:05:00Z,glucose,101,mg/dL\nb,2015-06-01T00:00:00Z,glucose,100,mg/dL\n"
        "a,2014-01-01T12:00:00Z,glucose,90,mg/dL\na,2014-01-01T12:10:00Z,glucose,91,mg/dL\n"
    )
    columns = read(file).together().columns
    start = columns.time.min()
    of = {columns.patients[p]: sorted((columns.time[columns.patient == p] - start).tolist()) for p in (0, 1)}
    assert of == {"a": [0, 600_000_000], "b": [0, 300_000_000]}
    assert start == read(file).columns.time.min()


def test_the_words_of_a_sensor_at_the_end_of_its_range(tmp_path):
    at = "p,2000-01-01T00:00:00Z"
    path = file(tmp_path, HEADER + f"{at},glucose,LOW,mg/dL\n{at},glucose,High,mmol/L\n{at},glucose,5,mmol/L\n")
    assert read(path).columns.value.tolist() == pytest.approx([39, 401, 90.078])
