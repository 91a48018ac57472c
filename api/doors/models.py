"""What a site's own models tell of a patient."""

from dataclasses import dataclass

from fastapi import APIRouter, Response

from api.accounts import Action
from api.context import Caller, Context, patient_of
from api.http.answers import Time, iso, problems, respond
from api.live.model_table import ModelReport

__all__ = ["router"]

router = APIRouter(prefix="/v1/patients/{id}", tags=["patients"])


@dataclass(frozen=True, slots=True)
class Output:
    """One number a model tells; ``sd`` is null where it has no spread."""

    name: str
    unit: str
    mean: float
    sd: float | None


@dataclass(frozen=True, slots=True)
class ModelState:
    """What one model tells of the patient, or of one of the patient's signals.

    ``time`` is that of the newest reading or fact behind it, ``emitted`` when the model reported it.
    """

    model: str
    version: int
    signal: str | None
    time: Time
    emitted: Time
    outputs: list[Output]


@dataclass(frozen=True, slots=True)
class Models:
    """What models of the site's own tell; empty where none is installed or none has anything to tell."""

    patient: str
    models: list[ModelState]


def _state(report: ModelReport) -> ModelState:
    outputs = [Output(*one) for one in report.outputs]
    return ModelState(
        report.model, report.version, report.signal or None, iso(report.time), iso(report.emitted), outputs
    )


@router.get(
    "/models",
    response_model=Models,
    responses=problems("unauthenticated", "forbidden", "not-found", "invalid", "store-unavailable"),
)
async def read_models(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """What the site's own models tell of the patient now."""
    patient_of(context, actor, id)
    context.accounts.audit(actor, Action.PATIENT_READ, id, detail="models")
    return respond(Models(id, list(map(_state, context.view.models(id)))))
