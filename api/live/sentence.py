"""An alarm's transition in one plain sentence, in the languages of the pages and with their words."""

import json
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from api.http.answers import iso
from twins.records import Transition
from twins.signals import BY_NAME

__all__ = ["LANGUAGES", "sentence", "sentences_of"]

_MESSAGES = Path(__file__).parents[1] / "pages" / "messages"
LANGUAGES = tuple(sorted(path.stem for path in _MESSAGES.glob("*.json")))
_SIDES = {
    "limit.critical_low": "below", "limit.low": "below", "limit.high": "above", "limit.critical_high": "above",
}  # fmt: skip


def sentences_of(one: Transition) -> dict[str, str]:
    """The sentence by language."""
    return {language: sentence(one, language) for language in LANGUAGES}


def sentence(one: Transition, language: str) -> str:
    """What happened, why and when: "Heart rate low since 2026-01-01 12:00:05 UTC: 47 /min is below 50 /min."."""
    said = _Words(language)
    why = _why(one, said)
    event = one.event or ("began" if one.number <= 1 and one.presence == "on" else one.presence)
    key = f"sentence.{event}"
    text = said.of(
        key if said.has(key) else "sentence.other", alarm=_name(one, said), time=iso(one.time)[:19].replace("T", " ") + " UTC",
        by=one.by or one.responder or "–", count=str(one.count), why=why,
    )  # fmt: skip
    return text if why else text.replace(": .", ".")


@cache
def _messages(language: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((_MESSAGES / f"{language}.json").read_text(encoding="utf-8"))
    return found


class _Words:
    """The messages of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._messages = _messages(language)

    def has(self, key: str) -> bool:
        return key in self._messages

    def of(self, key: str, **values: str) -> str:
        text = self._messages.get(key, key)
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", value)
        return text

    def signal(self, name: str) -> str:
        return self._messages.get(f"signal.{name}", name.replace("_", " ")) if name else self.of("alarm.all_signals")

    def number(self, value: float, digits: int = 0) -> str:
        text = f"{value:.{digits}f}"
        return text.replace(".", ",") if self.language == "de" else text

    def measure(self, name: str, value: float | None) -> str:
        """A value of a signal with its unit."""
        if value is None or not isfinite(value):
            return "–"
        signal = BY_NAME.get(name)
        if signal is None:
            return self.number(value)
        digits = 0 if float(value).is_integer() else 1
        unit = self._messages.get(f"unit.{signal.unit}", signal.unit)
        return f"{self.number(value, digits)} {unit}".strip()

    def age(self, seconds: float) -> str:
        """A duration, in seconds or whole minutes."""
        if seconds < 90:
            return self.of("age.seconds", count=self.number(seconds))
        return self.of("age.minutes", count=self.number(seconds / 60))


def _name(one: Transition, said: _Words) -> str:
    key = f"alarm.{one.condition}"
    signal = said.signal(one.signal)
    if said.has(key):
        return said.of(key, signal=signal)
    return (
        one.text.get(said.language)
        or one.text.get("en")
        or said.of("alarm.other", condition=one.condition, signal=signal)
    )


def _why(one: Transition, said: _Words) -> str:
    explanation, condition = one.explanation, one.condition
    if condition in _SIDES:
        limit = one.limit if one.limit is not None else explanation.get("limit", {}).get("bound")
        texts = {"value": said.measure(one.signal, one.value), "limit": said.measure(one.signal, limit)}
        return said.of(f"why.{_SIDES[condition]}", **texts)
    if condition.startswith("predicted.") and explanation.get("forecast"):
        return _predicted(one, explanation["forecast"], said)
    if condition.startswith("news2.") and one.value is not None:
        return said.of("why.news2_plain", value=said.number(one.value))
    return _technical(condition, explanation, said)


def _technical(condition: str, explanation: dict[str, Any], said: _Words) -> str:
    """Why an alarm of a sensor exists."""
    if condition == "sensor.fault":
        key = f"why.fault.{explanation.get('fault', {}).get('reason')}"
        flat = float(explanation.get("fault", {}).get("flat_s") or 0.0)
        return said.of(key if said.has(key) else "why.fault", age=said.age(flat))
    if condition == "sensor.silent":
        silent = explanation.get("silent_s")
        return said.of("why.silent", age=said.age(silent)) if silent else said.of("why.silent_plain")
    if condition == "sensor.clock" and "clock" in explanation:
        given = explanation["clock"]
        return said.of(f"why.clock.{given['side']}", age=said.age(given["apart_s"]))
    if condition == "sensor.disagreement" and len(explanation.get("disagreement", {}).get("sources", ())) > 1:
        first, second = explanation["disagreement"]["sources"][:2]
        return said.of(
            "why.disagreement", first=said.signal(first["signal"]), first_value=said.measure(first["signal"], first["mean"]),
            second=said.signal(second["signal"]), second_value=said.measure(second["signal"], second["mean"]),
        )  # fmt: skip
    return ""


def _predicted(one: Transition, forecast: dict[str, Any], said: _Words) -> str:
    bound = said.measure(one.signal, one.limit)
    chance = forecast.get("probability")
    if chance is None:
        return said.of("why.predicted_plain", limit=bound)
    side = one.condition.removeprefix("predicted.")
    way = f"why.next_{side}" if forecast.get("kind") == "next_reading" else f"why.predicted_{side}"
    minutes = said.number(forecast.get("horizon_min") or 0.0)
    return said.of(way, percent=f"{100 * chance:.0f} %", limit=bound, minutes=minutes)
