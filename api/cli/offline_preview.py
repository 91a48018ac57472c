"""A preview of limits on the embedded service's file, without a service."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from api.cli.output import Failure
from api.context import AppContext
from api.doors.limits_preview import Asked, PreviewedLimits, changes_of, preview_answer, setup_commands
from streams.clock import Clock
from streams.embedded.restore import open_offline
from streams.embedded.service import EmbeddedService
from streams.preview.job import Job
from streams.preview.run import preview
from streams.preview.sources import load
from streams.settings import Settings
from twins.step.estimates import profile_of

__all__ = ["run"]

_DAY_US = 86_400_000_000


def run(settings: Settings, body: dict[str, Any]) -> PreviewedLimits:
    """Answer a preview as the service would, from its file.

    Raises:
        Failure: the file has no such patient.
        Problem: limits or rules that may not be set.
        ValidationError: the body is not that of a preview.
    """
    asked = Asked.model_validate(body)
    service = EmbeddedService(settings)  # never started: it writes nothing
    with open_offline(settings.database) as file:
        service.worker.banks = file.worker().banks
    profiles = [
        profile_of(bank, number)
        for bank in service.worker.banks.values()
        for number, one in enumerate(bank.profiles)
        if one is not None and one.active and (one.patient == asked.patient or one.ward == asked.ward)
    ]
    for profile in profiles:
        service.registry.put(profile)
    if asked.patient is not None and not profiles:
        raise Failure(f"the file has no admitted patient {asked.patient}")
    context = cast("AppContext", SimpleNamespace(service=service))
    end = max([Clock().now(), *(bank.time for bank in service.worker.banks.values())]) + 1
    job = Job(
        patients=profiles, setup=setup_commands(context, profiles), changes=changes_of(context, asked),
        start=end - int(asked.days * _DAY_US), end=end,
        log=str(settings.database.absolute()) if asked.source == "log" else "",
    )  # fmt: skip
    try:
        course, parts, missing = asyncio.run(load(job, service.history))
    finally:
        service.history.close()
    return preview_answer(preview(job, course, parts, missing))
