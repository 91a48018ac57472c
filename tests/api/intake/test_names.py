"""Names as people and devices write them: names that look the same are equal, and marks of all languages are accepted."""

import json
import unicodedata
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from api.http.fields import Label, Note, PatientId
from streams.log.frame import decode_frame, encode_frame
from streams.log.identity import composed, flaw
from streams.recordings.recording import read
from tests.api.conftest import eventually
from twins.records import Columns

COMPOSED = "Ren\u00e9"
APART = "Rene\u0301"

_label, _note, _id = TypeAdapter(Label), TypeAdapter(Note), TypeAdapter(PatientId)


@pytest.mark.parametrize(
    "name",
    [
        "\u0dc1\u0dca\u200d\u0dbb\u0dd3",  # Sinhala, with a joiner
        "\u0645\u06cc\u200c\u0631\u0648\u062f",  # Persian, with a non-joiner
        "\u5c71\u7530\u3000\u592a\u90ce",  # Japanese, with an ideographic space
        "Dr.\u00a0Who",
        "37,5\u202f\u00b0C",
        "\u05d3\u05bc\u200f",  # Hebrew, with a right-to-left mark
        "\u1820\u180b",  # Mongolian, with a variation selector
        "\U0001f468\u200d\u2695\ufe0f",
    ],
)
def test_names_keep_their_languages_marks(name):
    assert unicodedata.normalize("NFC", name) == _label.validate_python(name)
    assert unicodedata.normalize("NFC", name) == _note.validate_python(name)


@pytest.mark.parametrize("mark", ["\x00", "\x1b", "\x7f", "\u202e", "\u2066", "\ufeff", "\U000e0041", "\ud800"])
def test_control_characters_and_marks_that_turn_text_around_are_refused(mark):
    for kind in (_label, _note, _id):
        with pytest.raises(ValidationError):
            kind.validate_python(f"a{mark}b")


def test_a_label_is_one_line_and_a_note_has_line_feeds():
    for breaks in ("\n", "\r\n", "\r", "\u2028", "\u2029", "\u0085", "\v"):
        with pytest.raises(ValidationError):
            _label.validate_python(f"one{breaks}two")
        assert _note.validate_python(f"one{breaks}two") == "one\ntwo"


@given(st.text(max_size=40))
def test_what_is_accepted_as_an_id_is_composed_and_good_for_every_door(name):
    try:
        kept = _id.validate_python(name)
    except ValidationError:
        return
    assert flaw(kept) == ""
    assert unicodedata.is_normalized("NFC", kept)
    assert composed(kept) == kept


def test_an_id_that_is_not_composed_has_a_flaw():
    assert "NFC" in flaw(APART)
    assert flaw(COMPOSED) == ""


def test_one_patient_whatever_the_form_of_the_id(running, admin, device):
    assert admin.post("/v1/patients", json={"id": APART, "ward": "A", "label": "one"}).json()["id"] == COMPOSED
    assert admin.post("/v1/patients", json={"id": COMPOSED, "ward": "A"}).status_code == 409
    for form in (APART, COMPOSED):
        answer = device.post("/v1/observations", json=running.reading(patient=form))
        assert answer.json()["taken"] == 1, answer.text
        assert admin.get(f"/v1/patients/{quote(form)}").json()["id"] == COMPOSED
        assert admin.get("/v1/alarms", params={"patient": form}).status_code == 200
        fact = {"patient": form, "kind": "note", "note": "line one\r\nline two"}
        assert admin.post("/v1/facts", json=fact).status_code == 200
    listed = [one["id"] for one in admin.get("/v1/patients").json()["items"]]
    assert listed.count(COMPOSED) == 1
    assert APART not in listed
    eventually(lambda: admin.get(f"/v1/patients/{quote(APART)}/state").json().get("signals"))
    facts = admin.get(f"/v1/patients/{quote(APART)}/history", params={"kind": "facts"}).json()
    assert {fact["note"] for fact in facts["items"]} == {"line one\nline two"}


def test_frames_and_files_bring_the_one_form(tmp_path):
    zeros = Columns([APART], np.zeros(1, "<u4"), np.zeros(1, "<u2"), np.zeros(1, "<i8"), np.zeros(1, "<f8"))
    assert decode_frame(encode_frame(zeros)).patients == [COMPOSED]
    path = tmp_path / "r.csv"
    rows = "".join(f"{form},2026-01-01T00:00:0{n}Z,heart_rate,70,\n" for n, form in enumerate((APART, COMPOSED)))
    path.write_text(f"patient,time,signal,value,unit\n{rows}", encoding="utf-8")
    assert read(path).columns.patients == [COMPOSED]


def test_a_batch_of_both_forms_is_one_patient(running, admin, device):
    body = [
        running.reading(patient=form, signal=signal)
        for form, signal in ((APART, "heart_rate"), (COMPOSED, "respiratory_rate"))
    ]
    assert (
        device.post("/v1/observations", content=json.dumps(body), headers={"Content-Type": "application/json"}).json()[
            "taken"
        ]
        == 2
    )
    eventually(lambda: len(admin.get(f"/v1/patients/{quote(COMPOSED)}/state").json()["signals"]) == 2)
