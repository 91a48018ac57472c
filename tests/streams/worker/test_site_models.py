"""Which of a site's models a service starts with, and which it refuses, with a sentence that says why."""

from importlib.metadata import EntryPoint

import numpy as np
import pytest

from streams.errors import ModelUnusable
from streams.worker.site_models import site_models
from tests.support.site_models import LastValue, Telling


class ElsewhereLevel(LastValue):
    level = "ward"


class VersionZero(LastValue):
    version = 0


class VersionInWords(LastValue):
    version = "one"


class HoldsObjects(LastValue):
    dtype = np.dtype([("value", "O")])


class QuantityTwice(Telling):
    quantities = (("last", ""), ("last", "1"))


class QuantityWithoutUnit(Telling):
    quantities = ("last",)


class QuantitiesWithoutOutputs(LastValue):
    quantities = (("last", ""),)


class WithoutName(LastValue):
    name = ""


def installed(monkeypatch, *values):
    entries = tuple(EntryPoint(f"entry-{place}", value, "vitaltwin.models") for place, value in enumerate(values))
    monkeypatch.setattr(
        "streams.worker.site_models.entry_points", lambda group: entries if group == "vitaltwin.models" else ()
    )
    return site_models()


def test_models_come_by_name_with_defaults_for_what_they_leave_out(monkeypatch):
    support = "tests.support.site_models"
    plain, insulin, telling = sorted(
        installed(monkeypatch, f"{support}:Telling", f"{support}:LastValue", f"{support}:InsulinOnBoard"),
        key=lambda model: ["last-value", "insulin-on-board", "telling"].index(model.name),
    )
    assert (plain.level, plain.quantities) == ("channel", ())
    assert not plain.facts(np.zeros(1, plain.dtype), np.zeros(1, np.int64), np.zeros(1, np.uint16), None)
    assert plain.migrate(3, b"") is None
    assert (insulin.level, [quantity.unit for quantity in insulin.quantities]) == ("patient", ["U", "mg/dL"])
    assert [quantity.name for quantity in telling.quantities] == ["last", "never"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ElsewhereLevel", "'ward' is none of channel, patient"),
        ("VersionZero", "less than 1"),
        ("VersionInWords", "not supported"),
        ("HoldsObjects", "Python objects"),
        ("QuantityTwice", "same name"),
        ("QuantityWithoutUnit", "a name without a unit"),
        ("QuantitiesWithoutOutputs", "no outputs"),
        ("WithoutName", "no text"),
    ],
)
def test_a_model_that_cannot_be_stops_the_start(monkeypatch, name, why):
    with pytest.raises(ModelUnusable, match=why):
        installed(monkeypatch, f"tests.streams.worker.test_site_models:{name}")


def test_two_of_one_name_stop_the_start(monkeypatch):
    with pytest.raises(ModelUnusable, match="two models are named last-value"):
        installed(monkeypatch, *["tests.support.site_models:LastValue"] * 2)
