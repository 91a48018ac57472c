"""Decides which patients of a batch are accepted: known patients within reach, and new patients if they may be admitted."""

import asyncio
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from api.accounts import Actor
from api.http.windows import Windows
from api.intake.batch import Batch
from api.runtime import Service
from streams.errors import StreamsError
from streams.log.entries import quoted
from streams.log.identity import flaw
from twins.records import Admit

__all__ = ["Admissions"]

_AT_ONCE = 20
"""Admissions appended together: an alarm that arrives meanwhile waits for at most so many."""
_BREATH, _REST_S = 500, 0.002
"""After so many names the loop yields to others; with new patients among them, for at least so many seconds."""
_DECIDED_S = 1.0

_REASONS = (
    ("", ""),
    ("out_of_scope", "no patient of this id is within reach of the key or account"),
    ("discharged_patient", "the patient is discharged; admit them again first"),
    ("unknown_patient", "this patient is not admitted, and the service does not admit patients automatically"),
    ("too_many_new_patients", "the request has too many new patients; admit them first or send smaller batches"),
    ("too_many_patients", "the service has reached its maximum number of patients"),
    ("bad_patient_id", ""),
    ("unknown_patient", "there are no readings to withdraw for a patient of this id"),
    (
        "unknown_patient",
        "this patient is not admitted, and the key may not admit; admit the patient first, or create a key with may_admit",
    ),
    (
        "too_many_new_patients",
        "the key has admitted its maximum number of patients for this minute; send this again later",
    ),
)
(
    _IN, _OUT_OF_SCOPE, _DISCHARGED, _UNKNOWN, _TOO_MANY_NEW, _TOO_MANY, _BAD_ID, _NOBODY, _MAY_NOT, _TOO_FAST
) = range(len(_REASONS))  # fmt: skip


class Admissions:
    """Admits new patients: each once, even if several requests name it together, and a limited number a minute per key."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._under_way: dict[str, asyncio.Future[tuple[int, int] | None]] = {}
        self._lately = Windows([(service.settings.new_patients_per_minute, 60.0)])

    async def sift(self, batch: Batch, actor: Actor) -> float:
        """Admit new patients that may be admitted; drop the readings of all others that are not known, with reasons.

        Returns the seconds after which to send again the patients refused by the rate limit; 0 if there are none.
        """
        patients = batch.columns.patients
        known = self._service.registry.index
        if actor.everywhere and all(map(known.__contains__, patients)):
            return 0.0
        named = np.zeros(len(patients), np.bool_)
        named[batch.columns.patient] = True
        verdict = await self._judged(patients, np.flatnonzero(named).tolist(), actor)
        if not verdict.any():
            return 0.0
        _drop(batch, verdict)
        return self._lately.wait(actor.key or actor.name) if (verdict == _TOO_FAST).any() else 0.0

    def sift_known(self, batch: Batch, actor: Actor) -> None:
        """Drop the readings of patients who are unknown or out of reach, with reasons; admit no patient."""
        registry, ward = self._service.registry, home(actor, self._service.settings.default_ward)
        verdict = np.zeros(len(batch.columns.patients), np.uint8)
        for place, name in enumerate(batch.columns.patients):
            profile = registry.get(name)
            if not actor.covers(ward if profile is None else profile.ward, name):
                verdict[place] = _OUT_OF_SCOPE
            elif profile is None:
                verdict[place] = _BAD_ID if flaw(name) else _NOBODY if actor.everywhere else _OUT_OF_SCOPE
            elif not profile.active:
                verdict[place] = _DISCHARGED
        if verdict.any():
            _drop(batch, verdict)

    async def admit(self, names: Sequence[str], ward: str, by: str) -> None:
        """Return once the log has decided whether each of the patients is admitted, or after one second without a decision."""
        registry = self._service.registry
        for start in range(0, len(names), _AT_ONCE):
            asked = (self._admit(name, ward, by) for name in names[start : start + _AT_ONCE])
            newest: dict[int, int] = {}
            for partition, offset in filter(None, await asyncio.gather(*asked)):
                newest[partition] = max(offset, newest.get(partition, -1))
            await asyncio.gather(*(registry.decided(place, _DECIDED_S) for place in newest.items()))

    async def _judged(self, patients: Sequence[str], places: Sequence[int], actor: Actor) -> npt.NDArray[np.uint8]:
        """The reason why each patient's readings are refused, 0 if accepted. New patients are admitted when this returns."""
        registry, settings = self._service.registry, self._service.settings
        verdict = np.zeros(len(patients), np.uint8)
        ward = home(actor, settings.default_ward)
        room = max(0, settings.max_patients - len(registry))
        most, past = min((room, _TOO_MANY), (settings.max_new_patients_per_request, _TOO_MANY_NEW))
        strangers: dict[str, None] = {}
        for number, place in enumerate(places):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(_REST_S if strangers else 0.0)
            name = patients[place]
            profile = registry.get(name)
            if profile is not None and actor.covers(profile.ward, name):
                verdict[place] = _IN if profile.active else _DISCHARGED
            elif name not in strangers:
                # A patient out of reach gets the same answer as an unknown one, as far as possible: an id in use elsewhere
                # cannot be admitted here.
                verdict[place] = self._strange(name, ward, actor) or (_IN if len(strangers) < most else past)
                if verdict[place] == _IN and profile is None:
                    strangers[name] = None
                elif verdict[place] == _IN:
                    verdict[place] = _OUT_OF_SCOPE
        in_time = self._in_time(list(strangers), actor)
        await self.admit(in_time, ward, actor.name)
        admitted = set(in_time)
        for number, place in enumerate(places if strangers else ()):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(_REST_S)
            name = patients[place]
            if name in strangers:
                verdict[place] = self._decided(name, actor) if name in admitted else _TOO_FAST
        return verdict

    def _in_time(self, strangers: list[str], actor: Actor) -> list[str]:
        """The new patients within the key's limit for this minute. No await between the check and the count."""
        key = actor.key or actor.name
        in_time = strangers[: self._lately.left(key)]
        if in_time:
            self._lately.add(key, len(in_time))
        return in_time

    def _decided(self, name: str, actor: Actor) -> int:
        """What the log decided about a new patient: another sender may have admitted it first, in another ward."""
        profile = self._service.registry.get(name)
        if profile is not None and not actor.covers(profile.ward, name):
            return _OUT_OF_SCOPE
        return _DISCHARGED if profile is not None and not profile.active else _IN

    def _strange(self, name: str, ward: str, actor: Actor) -> int:
        if not actor.covers(ward, name):
            return _OUT_OF_SCOPE
        if flaw(name):
            return _BAD_ID
        refuses = self._service.settings.unknown_patients == "refuse"
        if not refuses and actor.admits:
            return _IN
        if (
            not actor.everywhere
        ):  # the same answer as for a patient of another ward, so it does not reveal which patients exist
            return _OUT_OF_SCOPE
        return _UNKNOWN if refuses else _MAY_NOT

    async def _admit(self, name: str, ward: str, by: str) -> tuple[int, int] | None:
        """The position of the admission request in the log; ``None`` if none was needed."""
        under_way = self._under_way.get(name)
        if under_way is not None:
            return await asyncio.shield(under_way)
        if self._service.registry.get(name) is not None:
            return None
        future: asyncio.Future[tuple[int, int] | None] = asyncio.get_running_loop().create_future()
        self._under_way[name] = future
        try:
            place = await self._service.append(Admit(patient=name, ward=ward, stranger=True, by=by))
            future.set_result(place)
        except StreamsError as error:
            future.set_exception(error)
            future.exception()  # retrieve the exception even if no other task waits for it
            raise
        finally:
            del self._under_way[name]
            if not future.done():
                future.set_result(None)
        return place


def home(actor: Actor, default: str) -> str:
    """The ward for a new patient: the actor's ward if it has exactly one, else the default."""
    return next(iter(actor.wards)) if len(actor.wards) == 1 and not actor.everywhere else default


def _drop(batch: Batch, verdict: npt.NDArray[np.uint8]) -> None:
    names, patient = batch.columns.patients, batch.columns.patient
    of_reading = verdict[patient]
    for code in np.unique(of_reading[of_reading != _IN]).tolist():
        rows = np.flatnonzero(of_reading == code)
        reason, text = _REASONS[code]

        def detail_of(nth: int, rows: npt.NDArray[np.intp] = rows, text: str = text) -> str:
            name = names[int(patient[rows[nth]])]
            return f"{quoted(name)}: {text or flaw(name)}"

        batch.refusals.add_many(batch.entries(rows), reason, detail_of)
    batch.without(of_reading != _IN)
