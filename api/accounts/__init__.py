"""People and devices, their rights, and the audit trail of what they did."""

from api.accounts import errors
from api.accounts.audit import AuditEntry, AuditPage
from api.accounts.devices import Device, DeviceKey
from api.accounts.people import Account
from api.accounts.rights import Action, Actor, Role, may, require
from api.accounts.sessions import SignedIn
from api.accounts.store import Accounts
from api.accounts.tickets import Ticket

__all__ = [
    "Account",
    "Accounts",
    "Action",
    "Actor",
    "AuditEntry",
    "AuditPage",
    "Device",
    "DeviceKey",
    "Role",
    "SignedIn",
    "Ticket",
    "errors",
    "may",
    "require",
]
