import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounts import Actor, errors
from api.accounts.tickets import LIFETIME_S, MOST, Tickets
from tests.api.accounts.conftest import Watch

NURSE = Actor(kind="account", name="ada", key="s1")


@pytest.fixture
def tickets(watch):
    return Tickets(watch)


def test_a_ticket_works_once(tickets):
    issued = tickets.issue(NURSE)
    assert issued.expires_in == LIFETIME_S
    assert tickets.redeem(issued.ticket) == NURSE
    with pytest.raises(errors.Unauthenticated):
        tickets.redeem(issued.ticket)


def test_a_ticket_expires(tickets, watch):
    first, second = tickets.issue(NURSE), tickets.issue(NURSE)
    watch.seconds += LIFETIME_S - 0.001
    assert tickets.redeem(first.ticket) == NURSE
    watch.seconds += 0.001
    with pytest.raises(errors.Unauthenticated):
        tickets.redeem(second.ticket)


def test_a_ticket_ends_with_its_session(tickets, watch):
    ending = Actor(kind="account", name="ada", key="s1", expires=watch.seconds + 5)
    issued = tickets.issue(ending)
    watch.seconds += 5
    with pytest.raises(errors.Unauthenticated):
        tickets.redeem(issued.ticket)


def test_dropping_a_session_drops_its_tickets_only(tickets):
    mine, other = tickets.issue(NURSE), tickets.issue(Actor(kind="account", name="bob", key="s2"))
    tickets.drop("s1")
    with pytest.raises(errors.Unauthenticated):
        tickets.redeem(mine.ticket)
    assert tickets.redeem(other.ticket).name == "bob"


def test_tickets_are_bounded_and_expired_ones_make_room(tickets, watch):
    for _ in range(MOST):
        tickets.issue(NURSE)
    with pytest.raises(errors.TooManyAttempts):
        tickets.issue(NURSE)
    watch.seconds += LIFETIME_S
    tickets.issue(NURSE)
    assert len(tickets) == 1


@pytest.mark.parametrize("ticket", ["", "x" * 43, "ä" * 43, "\ud800" * 43])
def test_an_unknown_ticket_is_refused(tickets, ticket):
    with pytest.raises(errors.Unauthenticated):
        tickets.redeem(ticket)


@given(st.lists(st.one_of(st.just("issue"), st.floats(0, 40), st.integers(0, 5)), max_size=30))
def test_whatever_happens_no_ticket_is_good_twice_or_too_late(steps):
    watch = Watch()
    tickets, issued, used = Tickets(watch), [], set()
    for step in steps:
        if step == "issue":
            issued.append((tickets.issue(NURSE).ticket, watch.seconds))
        elif isinstance(step, float):
            watch.seconds += step
        elif step < len(issued):
            ticket, at = issued[step]
            good = ticket not in used and watch.seconds < at + LIFETIME_S
            try:
                tickets.redeem(ticket)
            except errors.Unauthenticated:
                assert not good
            else:
                assert good
            used.add(ticket)
