"""Who of a lot may have readings taken: known patients within reach, strangers admitted or not."""

import asyncio
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from api.accounts import Actor
from api.lot import Lot, quoted
from api.service import Service
from streams.errors import StreamsError
from twins.records import Admit

__all__ = ["Admissions", "flaw"]

LONGEST = 128
_AT_ONCE = 2_000
_BREATH = 10_000

_TEXTS = {
    "out_of_scope": "the key or account does not reach this patient",
    "discharged_patient": "the patient is discharged; admit them again first",
    "unknown_patient": "nobody admitted this patient, and the service does not admit by itself",
    "too_many_new_patients": "one request admits only so many new patients; admit them first or send smaller batches",
    "too_many_patients": "the service follows as many patients as it may",
}


def flaw(name: str, what: str = "a patient's id") -> str:
    """What is wrong with a name that becomes part of addresses, empty when nothing is.

    >>> flaw("bed 3"), flaw(" bed")
    ('', "a patient's id has no space at its ends")
    """
    if not 0 < len(name) <= LONGEST:
        return f"{what} has 1 to {LONGEST} characters"
    if name != name.strip():
        return f"{what} has no space at its ends"
    if not name.isprintable():
        return f"{what} has no control characters"
    if "/" in name or name in {".", ".."}:
        return f"{what} has no slash and is not . or .."
    return ""


class Admissions:
    """Admits strangers, each once however many requests bring them at the same time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._under_way: dict[str, asyncio.Future[None]] = {}

    async def sift(self, lot: Lot, actor: Actor) -> None:
        """Drop the readings of patients that may not come in, with reasons; admit those that may."""
        patients = lot.columns.patients
        known = self._service.registry.index
        if actor.everywhere and all(map(known.__contains__, patients)):
            return
        named = np.zeros(len(patients), np.bool_)
        named[lot.columns.patient] = True
        present = [patients[place] for place in np.flatnonzero(named).tolist()]
        refused = await self._judged(dict.fromkeys(present), actor)
        if refused:
            _drop(lot, refused)

    async def admit(self, names: Sequence[str], ward: str, by: str) -> None:
        """Return once each of the patients is admitted by the log."""
        for start in range(0, len(names), _AT_ONCE):
            await asyncio.gather(*(self._admit(name, ward, by) for name in names[start : start + _AT_ONCE]))

    async def _judged(self, names: Iterable[str], actor: Actor) -> dict[str, tuple[str, str]]:
        """(reason, sentence) of everyone whose readings are refused; the others are admitted when this returns."""
        registry, settings = self._service.registry, self._service.settings
        refused: dict[str, tuple[str, str]] = {}
        strangers: list[str] = []
        ward = home(actor, settings.default_ward)
        for number, name in enumerate(names):
            if number % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            profile = registry.get(name)
            if not actor.covers(ward if profile is None else profile.ward, name):
                refused[name] = ("out_of_scope", _TEXTS["out_of_scope"])
            elif profile is None:
                strangers.append(name)
            elif not profile.active:
                refused[name] = ("discharged_patient", _TEXTS["discharged_patient"])
        fit = []
        for name in strangers:
            wrong = flaw(name)
            if wrong:
                refused[name] = ("bad_patient_id", wrong)
            elif settings.unknown_patients == "refuse":
                refused[name] = ("unknown_patient", _TEXTS["unknown_patient"])
            else:
                fit.append(name)
        room = max(0, settings.max_patients - len(registry))
        taken = min(settings.max_new_patients_per_request, room)
        reason = "too_many_patients" if taken == room else "too_many_new_patients"
        refused.update(dict.fromkeys(fit[taken:], (reason, _TEXTS[reason])))
        await self.admit(fit[:taken], ward, actor.name)
        return refused

    async def _admit(self, name: str, ward: str, by: str) -> None:
        under_way = self._under_way.get(name)
        if under_way is not None:
            await asyncio.shield(under_way)
            return
        if self._service.registry.known(name):
            return
        future = asyncio.get_running_loop().create_future()
        self._under_way[name] = future
        try:
            await self._service.append(Admit(patient=name, ward=ward, by=by))
        except StreamsError as error:
            future.set_exception(error)
            future.exception()  # seen, also when nobody else waits for it
            raise
        finally:
            del self._under_way[name]
            if not future.done():
                future.set_result(None)


def home(actor: Actor, default: str) -> str:
    """The ward a stranger is admitted to: the actor's, if it has just one."""
    return next(iter(actor.wards)) if len(actor.wards) == 1 and not actor.everywhere else default


def _drop(lot: Lot, refused: dict[str, tuple[str, str]]) -> None:
    columns = lot.columns
    names = columns.patients
    out: npt.NDArray[np.bool_] = np.fromiter((name in refused for name in names), np.bool_, len(names))
    rows = np.flatnonzero(out[columns.patient])
    reasons = {reason: number for number, reason in enumerate(dict.fromkeys(reason for reason, _ in refused.values()))}
    kind = np.fromiter((reasons[refused[name][0]] if name in refused else -1 for name in names), np.intp, len(names))
    for reason, number in reasons.items():
        chosen = rows[kind[columns.patient[rows]] == number]

        def tell(nth: int, chosen: npt.NDArray[np.intp] = chosen) -> str:
            name = names[int(columns.patient[chosen[nth]])]
            return f"{quoted(name)}: {refused[name][1]}"

        lot.refusals.add_many(lot.entries(chosen), reason, tell)
    gone = np.zeros(len(columns), np.bool_)
    gone[rows] = True
    lot.without(gone)
