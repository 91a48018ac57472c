"""The site's own alarm rules: read, check and replace them."""

from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import RootModel

from api.accounts import Action, require
from api.context import Caller, Context, settled
from api.http.answers import Time, iso, problems, respond
from api.http.problems import Fault, Problem
from api.rules.files import Finding, findings
from twins.alarms.rule_language import DEEPEST, MOST_TERMS
from twins.alarms.rules import MOST_RULES
from twins.records import Rule, SetRules

__all__ = ["router"]

router = APIRouter(prefix="/v1/rules", tags=["rules"])

_SHOWN_S = 10.0
"""How long an answer waits for the new rules to be in force."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules in force, their version, who set them and when (null if nobody has set any)."""

    version: str
    time_zone: str
    rules: list[dict[str, Any]]
    set_by: str
    set_at: Time | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: the field, the character of the text there (from 1), and what is allowed."""

    detail: str
    field: str
    character: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether rules may be set, the version they would have, and every mistake."""

    valid: bool
    version: str | None
    rules: int
    errors: list[Mistake]


class Wanted(RootModel[dict[str, Any]]):
    """The rules of the site and the time zone of their hours."""


def _schema() -> dict[str, Any]:
    schema = msgspec.json.schema(Rule, ref_template="#/$defs/{name}")
    parts = schema.pop("$defs")
    rule = parts["Rule"] | {
        "description": f"See docs/rules.md. An expression has at most {MOST_TERMS} terms and nests {DEEPEST} deep.",
        "additionalProperties": False,
    }
    hours = {key: value for key, value in parts["Hours"].items() if key != "title"}
    rule["properties"]["hours"] = {"anyOf": [hours, {"type": "null"}], "default": None}
    return {
        "type": "object",
        "description": "Replaces all rules of the site. time_zone is an IANA name; it is for wards without one.",
        "additionalProperties": False,
        "properties": {
            "time_zone": {"type": "string", "default": "UTC"},
            "rules": {"type": "array", "maxItems": MOST_RULES, "items": rule},
        },
        "required": ["rules"],
    }


_BODY = {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema()}}}}
_ANY_OBJECT = {"type": "object", "description": "As for PUT; whatever is wrong with it is in the answer."}
_DRAFT = {"requestBody": {"required": True, "content": {"application/json": {"schema": _ANY_OBJECT}}}}
_READ = problems("unauthenticated", "forbidden", "store-unavailable")
_CHECK = _READ | problems("malformed-body", "foreign-origin", "body-too-large", "unsupported-media-type", "invalid")
_WRITE = _CHECK | problems("overloaded", "log-unavailable", "storage-full")


@router.get("", response_model=Rules, responses=_READ)
async def read_rules(context: Context, actor: Caller) -> Response:
    """The rules in force."""
    require(actor, Action.PATIENT_READ)
    return respond(_rules(context.service.rules()))


@router.put("", response_model=Rules, responses=_WRITE, openapi_extra=_BODY)
async def set_rules(context: Context, actor: Caller, body: Wanted) -> Response:
    """Replace all rules of the site. Alarms of rules that are gone end; the others go on."""
    require(actor, Action.RULES_WRITE)
    read = findings(body.root, context.service.clock.now())
    if read.findings:
        raise Problem("invalid", str(read.findings[0]), faults=[_fault(one) for one in read.findings])
    command = SetRules(rules=read.rules, zone=read.zone, by=actor.name)
    await context.service.append(command)
    context.accounts.audit(actor, Action.RULES_WRITE, detail=f"version {command.version}: {len(read.rules)} rules")
    await settled(lambda: _version(context.service.rules()) == command.version, _SHOWN_S)
    return respond(_rules(context.service.rules()))


@router.post("/check", response_model=Checked, responses=_CHECK, openapi_extra=_DRAFT)
async def check_rules(request: Request, context: Context, actor: Caller, body: Wanted) -> Response:
    """Check rules without setting them."""
    del request
    require(actor, Action.PATIENT_READ)
    read = findings(body.root, context.service.clock.now())
    version = None if read.findings else SetRules(rules=read.rules, zone=read.zone).version
    mistakes = [Mistake(one.detail, one.field, one.character) for one in read.findings]
    return respond(Checked(not mistakes, version, len(read.rules), mistakes))


def _fault(found: Finding) -> Fault:
    at = f" (character {found.character})" if found.character else ""
    return Fault("bad_rule", f"{found.detail}{at}", field=found.field)


def _version(command: SetRules | None) -> str:
    return command.version if command else ""


def _rules(command: SetRules | None) -> Rules:
    if command is None:
        return Rules("", "UTC", [], "", None)
    rules = [msgspec.to_builtins(rule) for rule in command.rules]
    return Rules(
        command.version, command.zone.name, rules, command.by, iso(command.received) if command.received else None
    )
