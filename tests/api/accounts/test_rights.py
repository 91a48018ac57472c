import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounts import Action, Actor, errors, may, require
from api.accounts.rights import ADMINISTRATION, DEMO, ROLES, SCOPES, SYSTEM, anonymous

wards = st.sampled_from(["A", "B", "Intensive care"])
patients = st.sampled_from(["p1", "p2"])
actions = st.sampled_from(list(Action))
people = st.builds(
    Actor,
    kind=st.just("account"),
    name=st.just("ada"),
    role=st.sampled_from(list(ROLES)),
    wards=st.frozensets(wards | st.just("*")),
)
devices = st.builds(
    Actor,
    kind=st.just("device"),
    name=st.just("monitor"),
    scopes=st.frozensets(st.sampled_from(list(SCOPES))),
    wards=st.frozensets(wards | st.just("*")),
    patients=st.frozensets(patients),
)
actors = people | devices

TABLE = {
    # action: (viewer, clinician, admin, observations:write, facts:write, patients:read)
    Action.PATIENT_READ: (1, 1, 1, 0, 0, 1),
    Action.ALARM_ACKNOWLEDGE: (0, 1, 1, 0, 0, 0),
    Action.FACT_WRITE: (0, 1, 1, 0, 1, 0),
    Action.LIMITS_WRITE: (0, 1, 1, 0, 0, 0),
    Action.PATIENT_ADMIT: (0, 1, 1, 0, 0, 0),
    Action.PATIENT_MOVE: (0, 1, 1, 0, 0, 0),
    Action.PATIENT_DISCHARGE: (0, 1, 1, 0, 0, 0),
    Action.OBSERVATION_WRITE: (0, 0, 1, 1, 0, 0),
    Action.ACCOUNTS_MANAGE: (0, 0, 1, 0, 0, 0),
    Action.DEVICES_MANAGE: (0, 0, 1, 0, 0, 0),
    Action.AUDIT_READ: (0, 0, 1, 0, 0, 0),
    Action.DEAD_LETTERS_READ: (0, 0, 1, 0, 0, 0),
    Action.RULES_WRITE: (0, 0, 1, 0, 0, 0),
    Action.ESCALATION_WRITE: (0, 0, 1, 0, 0, 0),
    Action.ON_CALL_WRITE: (0, 1, 1, 0, 0, 0),
    Action.ALARM_PAUSE: (0, 1, 1, 0, 0, 0),
    Action.WARD_SILENCE: (0, 0, 1, 0, 0, 0),
    Action.ALARM_POLICY_WRITE: (0, 0, 1, 0, 0, 0),
}


@pytest.mark.parametrize("action", list(Action))
def test_table_of_roles_and_scopes(action):
    everywhere = frozenset({"*"})
    by_role = [
        may(Actor(kind="account", name="x", role=role, wards=everywhere), action, "A")
        for role in ("viewer", "clinician", "admin")
    ]
    by_scope = [
        may(Actor(kind="device", name="x", scopes=frozenset({scope}), wards=everywhere), action, "A")
        for scope in ("observations:write", "facts:write", "patients:read")
    ]
    assert tuple(map(int, by_role + by_scope)) == TABLE[action]


@given(people, actions, wards)
def test_a_higher_role_never_loses_a_right(actor, action, ward):
    order = ["viewer", "clinician", "admin"]
    allowed = [may(Actor(kind="account", name="x", role=role, wards=actor.wards), action, ward) for role in order]
    assert allowed == sorted(allowed)


@given(actors, actions, wards, patients)
def test_a_right_somewhere_is_implied_by_a_right_here(actor, action, ward, patient):
    if may(actor, action, ward, patient):
        assert may(actor, action)


@given(actors, actions, wards)
def test_no_right_outside_of_ones_wards(actor, action, ward):
    if not actor.everywhere and ward not in actor.wards:
        assert not may(actor, action, ward)
        assert not may(actor, action, "*")
        assert not may(actor, action, "")


@given(devices, actions, patients)
def test_a_listed_patient_is_reached_in_any_ward(device, action, patient):
    listed = patient in device.patients
    assert device.covers("elsewhere", patient) == (listed or device.everywhere)
    assert device.covers(None, patient) == (listed or device.everywhere)


@given(people, st.sampled_from(sorted(ADMINISTRATION)))
def test_administration_needs_all_wards(actor, action):
    assert may(actor, action, "A") == may(actor, action) == (actor.role == "admin" and actor.everywhere)


@given(actions, wards)
def test_anonymous_may_nothing_and_the_machine_everything(action, ward):
    assert not may(anonymous("ada"), action, ward)
    assert not may(anonymous("ada"), action)
    assert may(DEMO, action, ward)
    assert may(SYSTEM, action, "*")


def test_unknown_role_and_scope_give_nothing():
    stranger = Actor(kind="account", name="x", role="owner", wards=frozenset("*"), scopes=frozenset({"all"}))
    assert not any(may(stranger, action, "A") for action in Action)


def test_require_raises_forbidden():
    nurse = Actor(kind="account", name="ada", role="clinician", wards=frozenset({"A"}))
    require(nurse, Action.FACT_WRITE, "A")
    with pytest.raises(errors.Forbidden) as refused:
        require(nurse, Action.FACT_WRITE, "B")
    assert refused.value.status == 403


def test_actor_is_frozen_hashable_and_does_not_expire_by_default():
    actor = Actor(kind="device", name="m", key="abc")
    assert hash(actor) == hash(Actor(kind="device", name="m", key="abc"))
    assert actor.expires == math.inf
    with pytest.raises(AttributeError):
        actor.name = "other"
