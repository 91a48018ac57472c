"""The moments of an alarm reopened: the twin's state as it was at each change, and the readings around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from api.context import AppContext
from api.doors.limits_preview import ask_for, place_of, setup_commands
from api.http.answers import Time, iso, iso_all, or_none
from api.http.problems import Problem
from streams.errors import HistoryUnavailable
from streams.history.base import KEPT_HORIZONS_MIN, KEPT_QUANTILES
from streams.preview.child import Question, Reopened
from streams.preview.job import Job
from streams.preview.moments import Moment
from twins.records import HORIZONS_MIN, QUANTILES, Transition
from twins.signals import BY_NAME

__all__ = ["ReopenedMoment", "moments_of"]

_AROUND_US = 300_000_000
_RECENT_US = 600_000_000
_LONGEST_US = 24 * 3_600_000_000
_MOST_MOMENTS, _MOST_POINTS = 24, 600
_MOST_READINGS = 2_000_000


@dataclass(frozen=True, slots=True)
class ReopenedMoment:
    """A signal's twin at one change of an alarm, as it was then, and the readings up to five minutes before and after.

    ``source``: log, the state was rebuilt by running the log again up to the change; history, it is the stored estimate and
    forecast before the change (then ``trend_per_min`` is null); none, neither reaches back. ``forecast`` is what the twin
    expected: by ``horizons_min`` after the change and ``quantiles``. The limit in force and who set it are in the
    explanation of the change.
    """

    transition: str
    time: Time
    signal: str
    source: Literal["log", "history", "none"]
    mean: float | None
    sd: float | None
    trend_per_min: float | None
    quality: float | None
    horizons_min: list[int]
    quantiles: list[float]
    forecast: list[list[float | None]]
    reading_time: list[Time]
    reading_value: list[float | None]


async def moments_of(context: AppContext, course: Sequence[Transition]) -> list[ReopenedMoment]:
    """The moments of an alarm's transitions (the first ones, if there are many), oldest first."""
    wanted = [(one, signal) for one in course for signal in _signals(one)][:_MOST_MOMENTS]
    rebuilt = await _from_log(
        context, [Moment(time=one.emitted or one.time, signal=signal) for one, signal in wanted], course
    )
    found = []
    for (one, signal), moment in zip(wanted, rebuilt, strict=True):
        times, values = await _readings(context, one, signal)
        if moment.source:
            found.append(
                ReopenedMoment(
                    one.id, iso(one.time), signal, "log", moment.mean, moment.sd, moment.trend_per_min, moment.quality,
                    list(HORIZONS_MIN), list(QUANTILES), moment.forecast, times, values,
                )
            )  # fmt: skip
        else:
            found.append(await _from_history(context, one, signal, times, values))
    return found


def _signals(one: Transition) -> list[str]:
    """The signals that a change is about."""
    if one.signal:
        return [one.signal] if one.signal in BY_NAME and BY_NAME[one.signal].filtered else []
    parts = one.explanation.get("news2", {}).get("parts", {})
    return [name for name, points in parts.items() if points and name in BY_NAME and BY_NAME[name].filtered]


async def _from_log(context: AppContext, moments: list[Moment], course: Sequence[Transition]) -> list[Moment]:
    """What the log can rebuild; only of the present stay, and of a day at most."""
    profile = context.service.registry.get(course[0].patient)
    if not moments or profile is None or course[0].onset < profile.begin:
        return moments
    places = sorted(range(len(moments)), key=lambda place: moments[place].time)
    ordered = [moments[place] for place in places]
    ordered = [one for one in ordered if one.time - ordered[0].time <= _LONGEST_US]
    job = Job(
        patients=[profile], setup=setup_commands(context, [profile]), changes=[], start=ordered[0].time,
        end=ordered[-1].time + 1, most_readings=_MOST_READINGS,
    )  # fmt: skip
    try:
        answer = await ask_for(context, Question(job=job, moments=ordered, **place_of(context)))
    except (Problem, HistoryUnavailable):
        return moments  # the history may still have it
    assert isinstance(answer, Reopened)  # noqa: S101 - as asked
    found = list(moments)
    for place, one in zip(places, answer.moments, strict=False):
        found[place] = one
    return found


async def _readings(context: AppContext, one: Transition, signal: str) -> tuple[list[str], list[float | None]]:
    code = BY_NAME[signal].code
    series = await context.service.history.observations(one.patient, code, one.time - _AROUND_US, one.time + _AROUND_US)
    step = -(-len(series.time) // _MOST_POINTS) or 1
    return iso_all(series.time[::step]), or_none(series.value[::step])


async def _from_history(
    context: AppContext, one: Transition, signal: str, times: list[str], values: list[float | None]
) -> ReopenedMoment:
    code, begin, end = BY_NAME[signal].code, one.time - _RECENT_US, max(one.time, one.emitted) + 1
    estimates = await context.service.history.estimates(one.patient, code, begin, end)
    forecasts = await context.service.history.forecasts(one.patient, code, begin, end)
    known = len(estimates.time) > 0
    mean, sd, quality = (
        or_none(np.asarray(column[-1:], float))[0] if known else None
        for column in (estimates.mean, estimates.sd, estimates.quality)
    )
    rows = [or_none(row) for row in np.asarray(forecasts.quantiles[-1], float)] if len(forecasts.time) else []
    return ReopenedMoment(
        one.id, iso(one.time), signal, "history" if known else "none", mean, sd, None, quality,
        list(KEPT_HORIZONS_MIN) if rows else [], list(KEPT_QUANTILES) if rows else [], rows, times, values,
    )  # fmt: skip
