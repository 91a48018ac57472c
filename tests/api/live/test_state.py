"""Complete entries for a snapshot are made again only after changes, and equal newly made ones."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from api.live.protocol import encode
from api.live.state import LiveState
from twins.records import Outcome, Profile, Score

NAMES = ["a", "b", "c"]


def read(entries):
    """The entries as on the wire."""
    return msgspec.json.decode(encode(entries))


def outcome(number, what, name):
    told = Outcome(partition=0, offset=number, time=number)
    if what == "admit":
        told.profiles.append(Profile(patient=name, ward="W", admitted=1, label=str(number), active=True))
    elif what == "again":
        told.profiles.append(Profile(patient=name, ward="W", admitted=number + 2, active=True))
    elif what == "leave":
        told.profiles.append(Profile(patient=name, ward="W", admitted=1, active=False))
    else:
        told.scores.append(
            Score(
                patient=name, time=number, total=number % 20, risk="low", partial=False, parts={"heart_rate": 0}, missing=[],
                stale=[], ages_s={"heart_rate": 1.0}, state="current", measured=number,
            )
        )  # fmt: skip
    return told


@given(
    st.lists(
        st.tuples(st.sampled_from(["admit", "again", "leave", "score"]), st.sampled_from(NAMES), st.booleans()),
        max_size=30,
    )
)
def test_they_are_what_a_fresh_look_finds(history):
    view = LiveState()
    for number, (what, name, look) in enumerate(history):
        view.apply(outcome(number, what, name))
        if look:
            for full in (False, True):
                rows = view.rows()
                assert read(view.wholes(rows, full=full)) == read(view.parts(rows, {}, full=full))


def test_only_what_changed_is_made_anew(monkeypatch):
    view = LiveState()
    for number, name in enumerate(NAMES):
        view.apply(outcome(number, "admit", name))
    view.wholes(view.rows(), full=False)
    asked = []
    parts = view.parts
    monkeypatch.setattr(view, "parts", lambda rows, *args, **more: asked.extend(rows) or parts(rows, *args, **more))
    view.wholes(view.rows(), full=False)
    assert asked == []
    view.apply(outcome(9, "score", "b"))
    view.wholes(view.rows(), full=False)
    assert asked == [view.row("b")]
