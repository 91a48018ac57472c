"""Alarm transitions and facts, stored or waiting."""

import numpy as np
import pytest

from tests.streams.history.conftest import File, transition
from twins.records import Fact

EVER = (0, 1 << 60)


def tell(file: File, *items) -> None:
    file.history.add_transitions(0, file.offset, list(items))
    file.history.complete(0, file.offset)
    file.offset += 1


async def names(file: File, *args, **kwargs) -> list[str]:
    return [item.id for item in (await file.history.alarms(*args, **kwargs)).items]


@pytest.mark.parametrize("flushed", [0, 2, 4])
async def test_newest_first_by_patient_and_window(file: File, flushed: int) -> None:
    for number, patient in enumerate("abab"):
        tell(file, transition(patient, number, number * 10))
        if number < flushed:
            file.flush()
    assert await names(file, None, *EVER) == ["b-3", "a-2", "b-1", "a-0"]
    assert await names(file, None, *EVER, ascending=True) == ["a-0", "b-1", "a-2", "b-3"]
    assert await names(file, "a", *EVER) == ["a-2", "a-0"]
    assert await names(file, ["a", "b"], 10, 30) == ["a-2", "b-1"]
    assert await names(file, [], *EVER) == []


@pytest.mark.parametrize("flush_at", range(6))
@pytest.mark.parametrize("ascending", [True, False])
async def test_pages_stay_whole_while_the_buffer_is_flushed(file: File, flush_at: int, ascending: bool) -> None:
    for number in range(10):
        tell(file, transition("a", number, number // 4), transition("b", number, number // 4))
        if number == 3:
            file.flush()
    result, cursor, pages = [], None, 0
    while True:
        if pages == flush_at:
            file.flush()
        page = await file.history.alarms(None, *EVER, cursor=cursor, limit=3, ascending=ascending)
        result += [item.id for item in page.items]
        cursor, pages = page.cursor, pages + 1
        if cursor is None:
            break
    wanted = [f"{patient}-{number}" for number in range(10) for patient in "ab"]
    assert result == (wanted if ascending else wanted[::-1])


async def test_transitions_of_one_moment_keep_the_log_s_order(file: File) -> None:
    for name in ("z", "a", "m"):
        tell(file, transition(name, 0, 7, alarm="one"))
    assert [item.patient for item in await file.history.alarm("one")] == ["z", "a", "m"]
    file.flush()
    assert [item.patient for item in await file.history.alarm("one")] == ["z", "a", "m"]


async def test_the_same_transition_again_replaces_it(file: File) -> None:
    tell(file, transition("a", 0, 1))
    file.flush()
    tell(file, transition("a", 0, 1, presence="off"))
    assert [item.presence for item in (await file.history.alarms(None, *EVER)).items] == ["off"]
    assert [item.presence for item in await file.history.alarm("a-alarm")] == ["off"]
    file.flush()
    assert [item.presence for item in await file.history.alarm("a-alarm")] == ["off"]


@pytest.mark.parametrize("flushed", [0, 3, 6])
async def test_latest_tells_how_every_alarm_stands(file: File, flushed: int) -> None:
    for number, (alarm, presence) in enumerate(
        [("x", "on"), ("y", "on"), ("x", "acknowledged"), ("y", "off"), ("z", "on")]
    ):
        tell(file, transition("a", number, number, alarm=alarm, presence=presence))
        if number < flushed:
            file.flush()
    tell(file, transition("b", 9, 9, alarm="w"))
    assert [(one.alarm, one.presence) for one in await file.history.latest("a")] == [
        ("z", "on"), ("y", "off"), ("x", "acknowledged"),
    ]  # fmt: skip
    assert len(await file.history.latest()) == 4
    assert await names(file, "a", 0, 4, latest=True) == ["a-3", "a-2"]
    page = await file.history.alarms(None, *EVER, limit=2, latest=True)
    assert [one.alarm for one in page.items] == ["w", "z"]
    rest = await file.history.alarms(None, *EVER, cursor=page.cursor, limit=2, latest=True)
    assert ([one.alarm for one in rest.items], rest.cursor) == (["y", "x"], None)


async def test_numbers_of_numpy_in_an_explanation_are_stored_as_plain_ones(file: File) -> None:
    item = transition("a", 0, 1)
    item.explanation = {"mean": np.float64(1.5), "quantiles": np.arange(3)}
    tell(file, item)
    file.flush()
    (result,) = await file.history.alarm("a-alarm")
    assert result.explanation == {"mean": 1.5, "quantiles": [0, 1, 2]}


def test_an_explanation_that_cannot_be_stored_is_refused_when_it_is_added(file: File) -> None:
    item = transition("a", 0, 1)
    item.explanation = {"what": object()}
    with pytest.raises(NotImplementedError, match="object cannot be stored"):
        file.history.add_transitions(0, 0, [item])
    file.flush()


@pytest.mark.parametrize("cursor", ["", "1", "a:b:c"])
async def test_a_foreign_cursor_is_refused(file: File, cursor: str) -> None:
    with pytest.raises(ValueError, match=r"invalid literal|unpack"):
        await file.history.alarms(None, *EVER, cursor=cursor)


async def test_facts_of_one_moment_are_all_kept_and_a_repeat_is_not(file: File) -> None:
    result = [
        Fact(patient="a", kind="insulin", time=5, value=4.0, received=5),
        Fact(patient="a", kind="insulin", time=5, value=6.0, received=6),
        Fact(patient="a", kind="note", time=5, value="slept", received=7), Fact(patient="b", kind="meal", time=1),
        Fact(patient="a", kind="oxygen", time=3, value=2.0, id="x", received=8),
        Fact(patient="a", kind="oxygen", time=9, value=2.0, id="x", received=9),
        Fact(patient="a", kind="insulin", time=5, value=4.0, received=10),
    ]  # fmt: skip
    for fact in result:
        file.history.add_facts(0, file.offset, [fact])
        file.history.complete(0, file.offset)
        file.offset += 1
    wanted = [result[4], *result[:3]]
    assert await file.history.facts("a", *EVER) == wanted
    file.flush()
    assert await file.history.facts("a", *EVER) == wanted
    assert await file.history.facts("a", 4, 6) == wanted[1:]
    assert await file.history.facts("a", 0, 5) == wanted[:1]
