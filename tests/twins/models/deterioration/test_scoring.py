"""The deterioration twin's kernel against the same rules written as whole-array numpy, over random banks."""

import copy

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twins.bank import layout
from twins.bank.bank import Bank
from twins.models.deterioration import model as deterioration
from twins.models.deterioration import news2
from twins.signals import BY_NAME

S = 1_000_000
NOW = 1_700_000_000 * S
COLUMN = {name: at for at, name in enumerate(news2.PARAMETERS)}
SOURCES = {
    "respiratory_rate": ["respiratory_rate"],
    "oxygen_saturation": ["oxygen_saturation", "second_oxygen_saturation"],
    "systolic_bp": ["arterial_systolic_bp", "systolic_bp"],
    "pulse": ["heart_rate", "pulse_rate"],
    "temperature": ["body_temperature"],
}
FORGOTTEN = np.array([news2.FORGOTTEN_AFTER_S[name] for name in news2.PARAMETERS])
STALE = np.array([news2.STALE_AFTER_S[name] for name in news2.PARAMETERS])
KEPT = ("parts", "known_parts", "stale", "scored", "score_phase", "score_since", "score_told")


def inputs(bank, numbers, now):
    """Value and age of every input, one source at a time."""
    value, age = np.full((len(numbers), 7), np.nan), np.full((len(numbers), 7), np.nan)
    for name, sources in SOURCES.items():
        column = COLUMN[name]
        for source in sources:
            rows = bank.slot[numbers, BY_NAME[source].code]
            held = np.flatnonzero(rows >= 0)
            own = rows[held]
            measured = bank.state[own, layout.COUNT] > 0
            held, own = held[measured], own[measured]
            theirs = np.maximum(now - bank.state[own, layout.T], 0.0) * 1e-6
            newer = ~(theirs >= age[held, column])
            value[held[newer], column] = bank.state[own[newer], layout.M0]
            age[held[newer], column] = theirs[newer]
    for name in ("oxygen", "consciousness"):
        fact, when = getattr(bank, name)[numbers], getattr(bank, name + "_time")[numbers]
        value[:, COLUMN[name]] = fact
        age[:, COLUMN[name]] = np.where(np.isnan(fact), np.nan, np.maximum(now - when, 0) * 1e-6)
    value[age > FORGOTTEN] = np.nan
    return value, age


def threshold(parts):
    """Which of the three conditions the known parts fulfil: 0 for 7 or more, 1 for 5 or 6, 2 for a 3 in one."""
    total = sum(part for part in parts if part > 0)
    return 0 if total >= 7 else 1 if total >= 5 else 2 if 3 in parts else None


def turns(bank, number, parts, now):
    """Thresholds last 20 s before they begin, end or are reported again: for 2 more, or a 3 where there was none."""
    known = bank.known_parts[number].tolist()
    bank.known_parts[number] = [part if part >= 0 else last for part, last in zip(parts, known, strict=True)]
    reached = threshold(parts)
    at_worst = [
        most if part < 0 and last > 0 else part
        for part, last, most in zip(parts, known, news2.HIGHEST_PART, strict=True)
    ]
    worst = sum(part for part in at_worst if part > 0)
    lost = any(part < 0 and last > 0 for part, last in zip(parts, known, strict=True))
    for which, could in enumerate((worst >= 7, worst >= 5, worst >= 5 or lost)):
        if which == reached:
            break
        if bank.score_phase[number, which] & 2 and could:
            reached = which  # a missing input ends nothing
            break
    total = sum(part for part in parts if part > 0)
    reds = {at for at, part in enumerate(parts) if part == 3}
    mask = sum(1 << at for at in reds)
    turned = [0, 0, 0]
    for which in range(3):
        phase, truth = int(bank.score_phase[number, which]), which == reached
        on = bool(phase & 2)
        before, seen = bank.score_told[number].tolist()
        worse = before >= 0 and (total >= before + 2 or any(not seen & 1 << at for at in reds))
        if truth == on and not (on and worse):
            bank.score_phase[number, which] = 2 if on else 0
            if on and before < 0:
                bank.score_told[number] = total, mask
            continue
        bit = 4 if truth == on else 1
        if not phase & bit:
            bank.score_since[number, which] = now
        if (not phase & bit and truth == on) or now - bank.score_since[number, which] < (20 if truth == on else 60) * S:
            bank.score_phase[number, which] = (2 if on else 0) | bit if not (truth == on and phase & bit) else phase
            continue
        bank.score_phase[number, which] = 2 if truth else 0
        turned[which] = 2 if truth == on else 1 if truth else -1
        if truth:
            bank.score_told[number] = total, mask
    return turned


def record(patient, parts, ages, now):
    """A score by the formulas of the record."""
    given = {name: float(age) for name, age in zip(news2.PARAMETERS, ages, strict=True) if not np.isnan(age)}
    summary = news2.summarise(parts.tolist(), given)
    counted = [name for name in SOURCES if parts[COLUMN[name]] >= 0]
    aged = all(given[name] >= news2.STALE_AFTER_S[name] for name in counted)
    return {
        "patient": patient, "time": now, "total": summary.total, "risk": summary.risk, "partial": summary.partial,
        "parts": summary.parts, "missing": list(summary.missing), "stale": list(summary.stale), "ages_s": given,
        "state": "void" if not counted else "old" if aged else "current",
        "measured": now - round(min(given[name] for name in counted) * 1e6) if counted else 0,
    }  # fmt: skip


def evaluate(bank, numbers, now):
    """Scores and turns, array after array."""
    value, age = inputs(bank, numbers, now)
    parts = np.empty((len(numbers), 7), np.int8)
    news2.score_parts(*np.ascontiguousarray(value.T), bank.scale2[numbers] != 0, parts)
    stale = ((age >= STALE) & (parts >= 0)).astype(np.uint8)
    changed = (parts != bank.parts[numbers]).any(axis=1) | (stale != bank.stale[numbers]).any(axis=1)
    due = changed | ((parts >= 0).any(axis=1) & (now - bank.scored[numbers] >= 60 * S))
    turned = np.array(
        [turns(bank, number, own, now) for number, own in zip(numbers.tolist(), parts.tolist(), strict=True)]
    )
    speak = due | (turned != 0).any(axis=1)
    bank.parts[numbers] = parts
    bank.stale[numbers] = stale
    bank.scored[numbers[speak]] = now
    scores = {at: record(f"p{numbers[at]}", parts[at], age[at], now) for at in np.flatnonzero(speak).tolist()}
    events = [(int(numbers[at]), which, int(turned[at, which]), scores[at]) for at, which in np.argwhere(turned)]
    return list(scores.values()), events


edges_us = sorted({int(hours * 3600) * S + near for hours in (1, 4, 6, 12, 24) for near in (-1, 0, 1)})
ages_us = st.one_of(st.sampled_from([0, 1, S, *edges_us]), st.integers(-S, 25 * 3600 * S))
gaps_us = [0, S, 20 * S - 1, 20 * S, 60 * S - 1, 60 * S, 3600 * S]
levels = {
    "respiratory_rate": (6, 28), "oxygen_saturation": (80, 100), "second_oxygen_saturation": (80, 100),
    "arterial_systolic_bp": (80, 230), "systolic_bp": (80, 230),
    "heart_rate": (35, 140), "pulse_rate": (35, 140), "body_temperature": (34, 40),
}  # fmt: skip


def level(name):
    """Values of one signal, often on a half, rarely missing."""
    low, high = levels[name]
    return st.one_of(
        st.floats(low, high),
        st.integers(2 * low, 2 * high).map(lambda halves: halves / 2),
        st.sampled_from([np.nan, np.inf]),
    )


channel = st.fixed_dictionaries(
    {}, optional={name: st.tuples(level(name), ages_us, st.sampled_from([0, 1, 7])) for name in levels}
)
patient = st.fixed_dictionaries({
    "channels": channel,
    "oxygen": st.sampled_from([np.nan, 0.0, 1.0, 15.0]),
    "oxygen_age": ages_us,
    "consciousness": st.sampled_from([np.nan, 0.0, 1.0, 4.0]),
    "consciousness_age": ages_us,
    "scale2": st.booleans(),
    "parts": st.lists(st.integers(-1, 3), min_size=7, max_size=7),
    "stale": st.lists(st.integers(0, 1), min_size=7, max_size=7),
    "scored_age": st.sampled_from([0, 60 * S - 1, 60 * S, 90 * S]),
    "known": st.lists(st.integers(-1, 3), min_size=7, max_size=7),
    "told": st.tuples(st.integers(-1, 20), st.integers(0, 127)),
    "phase": st.lists(st.sampled_from([0, 1, 2, 3, 6]), min_size=3, max_size=3),
    "since_age": st.lists(st.sampled_from([0, 20 * S - 1, 20 * S, 60 * S - 1, 60 * S, 90 * S]), min_size=3, max_size=3),
})  # fmt: skip


def bank_of(patients):
    """A bank in which every patient has the drawn state."""
    bank = Bank()
    for at, drawn in enumerate(patients):
        number = bank.number(f"p{at}")
        for name, (mean, age, count) in drawn["channels"].items():
            row = bank.open_channel(number, BY_NAME[name].code)
            bank.state[row, [layout.M0, layout.T, layout.COUNT]] = mean, NOW - age, count
        bank.oxygen[number], bank.oxygen_time[number] = drawn["oxygen"], NOW - drawn["oxygen_age"]
        bank.consciousness[number] = drawn["consciousness"]
        bank.consciousness_time[number] = NOW - drawn["consciousness_age"]
        bank.scale2[number] = drawn["scale2"]
        bank.parts[number], bank.stale[number] = drawn["parts"], drawn["stale"]
        bank.known_parts[number], bank.score_told[number] = drawn["known"], drawn["told"]
        bank.scored[number] = NOW - drawn["scored_age"]
        bank.score_phase[number], bank.score_since[number] = drawn["phase"], NOW - np.array(drawn["since_age"])
    return bank


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_scores_turns_and_arrays_are_those_of_the_formulas(data):
    bank = bank_of(data.draw(st.lists(patient, min_size=1, max_size=5)))
    other = copy.deepcopy(bank)
    now = NOW
    for gap in data.draw(st.lists(st.sampled_from(gaps_us), min_size=1, max_size=5)):
        now += gap
        asked = np.array(data.draw(st.permutations(range(bank.patients)))[: data.draw(st.integers(1, bank.patients))])
        for mine, theirs in zip(deterioration.inputs(bank, asked, now), inputs(other, asked, now), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        scores, events = deterioration.evaluate(bank, asked, now)
        expected, turned = evaluate(other, asked, now)
        assert msgspec.json.encode([without_rise(score) for score in scores]) == msgspec.json.encode(expected)
        assert [(*event[:3], without_rise(event[3])) for event in events] == turned
        for name in KEPT:
            assert getattr(bank, name).tobytes() == getattr(other, name).tobytes(), name


def without_rise(score):
    """A score as plain values; its rise has a test of its own."""
    return {name: value for name, value in msgspec.to_builtins(score).items() if name != "rise"}


def bank_with(**channels):
    """A bank with one patient with these (value, age in s)."""
    bank = Bank()
    bank.number("p")
    for name, (value, age) in channels.items():
        row = bank.open_channel(0, BY_NAME[name].code)
        bank.state[row, [layout.M0, layout.T, layout.COUNT]] = value, NOW - age * S, 1
    return bank


def test_no_patients_give_no_scores():
    assert deterioration.evaluate(bank_with(), np.array([], np.int64), NOW) == ([], [])


@pytest.mark.parametrize(("line", "cuff", "systolic"), [(10, 20, 120.0), (20, 10, 90.0), (10, 10, 120.0)])
def test_the_newest_source_counts_and_of_equally_new_ones_the_first(line, cuff, systolic):
    bank = bank_with(arterial_systolic_bp=(120.0, line), systolic_bp=(90.0, cuff))
    value, age = deterioration.inputs(bank, np.array([0]), NOW)
    assert (value[0, COLUMN["systolic_bp"]], age[0, COLUMN["systolic_bp"]]) == (systolic, 10.0)


def test_a_threshold_lasts_60_s_before_it_begins_and_before_it_ends():
    bank = bank_with(respiratory_rate=(30.0, 0), heart_rate=(140.0, 0), oxygen_saturation=(97.0, 0))

    def events(seconds):
        return [event[:3] for event in deterioration.evaluate(bank, np.array([0]), NOW + seconds * S)[1]]

    assert [events(at) for at in (0, 59, 60, 61)] == [[], [], [(0, 1, 1)], []]
    bank.state[bank.slot[0, BY_NAME["heart_rate"].code], layout.M0] = 80.0
    # Now a 3 in one parameter begins as the total of 5 ends.
    assert [events(at) for at in (70, 129, 130)] == [[], [], [(0, 1, -1), (0, 2, 1)]]


def test_a_score_is_sent_when_it_changes_and_again_after_60_s():
    bank = bank_with(heart_rate=(80.0, 0))

    def spoken(seconds):
        return len(deterioration.evaluate(bank, np.array([0]), NOW + seconds * S)[0])

    assert [spoken(at) for at in (0, 1, 59, 60, 61)] == [1, 0, 0, 1, 0]
    bank.scale2[0] = 1
    bank.oxygen[0], bank.oxygen_time[0] = 2.0, NOW
    assert [spoken(at) for at in (62, 63)] == [1, 0]
