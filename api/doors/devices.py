"""Device keys: created, listed and revoked by administrators."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import Field

from api import accounts
from api.context import Caller, Context
from api.http.answers import Time, iso, problems, respond
from api.http.fields import Body, Label, PatientId, Ward

__all__ = ["router"]

router = APIRouter(prefix="/v1/devices", tags=["administration"])

Scope = Literal["observations:write", "observations:correct", "facts:write", "patients:read"]
OBSERVE: Scope = "observations:write"


@dataclass(frozen=True, slots=True)
class Device:
    """A stored key: what it may do and where."""

    id: str
    name: str
    scopes: list[str]
    wards: list[str]
    patients: list[str]
    second_source: bool
    may_admit: bool
    units: dict[str, str]
    created: Time
    created_by: str
    revoked: Time | None
    last_used: Time | None


@dataclass(frozen=True, slots=True)
class Devices:
    """All keys, newest first."""

    items: list[Device]


@dataclass(frozen=True, slots=True)
class NewDevice:
    """The new key, shown only this once."""

    key: str
    device: Device


class Wanted(Body):
    """What the key may do, in the given wards and for the given patients. Without both it reaches no patient."""

    name: Annotated[Label, Field(min_length=1, max_length=64)]
    scopes: Annotated[list[Scope], Field(default_factory=lambda: [OBSERVE], min_length=1, max_length=16)]
    wards: Annotated[
        list[Literal["*"] | Ward],
        Field(default_factory=list, max_length=1000, description='Ward names; "*" is every ward.'),
    ]
    patients: Annotated[list[PatientId], Field(default_factory=list, max_length=10_000)]
    second_source: Annotated[
        bool,
        Field(
            description="This device measures the same quantity as another device of the patient: its "
            "oxygen_saturation is recorded as second_oxygen_saturation."
        ),
    ] = False
    may_admit: Annotated[
        bool,
        Field(
            description="Whether the first reading of an unknown patient admits the patient, into the key's only ward or the "
            "default ward. Otherwise such a reading is refused."
        ),
    ] = False
    units: Annotated[
        dict[str, str],
        Field(
            default_factory=dict,
            max_length=64,
            description='By signal, the unit of readings without a unit, for example {"glucose": "mmol/L"}.',
        ),
    ]


_ANY = problems("unauthenticated", "forbidden", "foreign-origin", "invalid", "store-unavailable")


@router.get("", response_model=Devices, responses=_ANY)
async def list_devices(context: Context, actor: Caller) -> Response:
    """All keys, including revoked ones."""
    return respond(Devices([_told(one) for one in await context.accounts.list_devices(actor)]))


@router.post(
    "",
    status_code=201,
    response_model=NewDevice,
    responses=_ANY | problems("malformed-body", "conflict", "body-too-large", "unsupported-media-type"),
)
async def create_device(context: Context, actor: Caller, body: Wanted) -> Response:
    """Make a key."""
    made = await context.accounts.create_device(
        actor,
        body.name,
        scopes=body.scopes,
        wards=body.wards,
        patients=body.patients,
        second_source=body.second_source,
        may_admit=body.may_admit,
        units=body.units,
    )
    return respond(NewDevice(made.key, _told(made.device)), 201)


@router.delete("/{id}", response_model=Device, responses=_ANY | problems("not-found"))
async def revoke_device(context: Context, actor: Caller, id: str) -> Response:  # noqa: A002 - the name in the address
    """Revoke a key at once."""
    return respond(_told(await context.accounts.revoke_device(actor, id)))


def _told(device: accounts.Device) -> Device:
    return Device(
        id=device.id,
        name=device.name,
        scopes=list(device.scopes),
        wards=list(device.wards),
        patients=list(device.patients),
        second_source=device.second_source,
        may_admit=device.may_admit,
        units=device.units,
        created=iso(device.created),
        created_by=device.created_by,
        revoked=None if device.revoked is None else iso(device.revoked),
        last_used=None if device.last_used is None else iso(device.last_used),
    )
