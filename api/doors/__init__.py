"""The HTTP doors, one noun a file."""

from api.doors import (
    accounts,
    alarms,
    alarms_off,
    audit,
    burden,
    dead_letters,
    devices,
    facts,
    health,
    histories,
    limits,
    models,
    notices,
    patients,
    rules,
    session,
    signals,
    smoothed,
    states,
    track_record,
)

__all__ = ["ROUTERS"]

ROUTERS = (
    facts.router,
    patients.router,
    states.router,
    models.router,
    histories.router,
    smoothed.router,
    alarms.router,
    alarms_off.router,
    notices.router,
    burden.router,
    limits.router,
    rules.router,
    signals.router,
    track_record.router,
    session.router,
    accounts.router,
    devices.router,
    audit.router,
    dead_letters.router,
    health.router,
)
