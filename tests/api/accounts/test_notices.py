"""The outbox: written twice it is there once, what is cancelled stays cancelled, and a whole state corrects it."""

import asyncio

import msgspec

from api.accounts.database import Database
from api.accounts.notices import KeptNotices, NoticeQuestion, Notices
from api.accounts.people import People
from api.accounts.sessions import Sessions
from twins.records import Notice


def notice(name, patient="p", due=100, **more):
    return Notice(
        id=name,
        alarm="a",
        patient=patient,
        ward="A",
        due=due,
        expires=due + 900,
        changed=due,
        to=["role:clinician"],
        **more,
    )


def cancelled(one):
    return msgspec.structs.replace(one, state="cancelled", reason="acknowledged", changed=one.changed + 5)


def run(url, work):
    async def whole():
        database = Database(url)
        await database.open()
        try:
            return await work(Notices(database), database)
        finally:
            await database.close()

    return asyncio.run(whole())


def states(found):
    return {one.id: (one.state, one.reason) for one in found}


def changes(*notices, partition=0, time=1000, whole=False):
    return KeptNotices(partition, time, list(notices), whole=whole)


def test_a_notice_that_comes_again_changes_nothing_and_a_cancelled_one_stays_cancelled(url):
    async def work(notices, _):
        one, other = notice("1"), notice("2", due=200)
        await notices.keep([changes(one, other)])
        await notices.keep([changes(cancelled(one))])
        # Another door is slower: it writes the same notices later.
        await asyncio.gather(*(notices.keep([changes(one, other), changes(cancelled(one))]) for _ in range(4)))
        await notices.keep([changes(one)])
        return await notices.page(NoticeQuestion())

    found = run(url, work)
    assert [one.id for one in found] == ["2", "1"]
    assert states(found) == {"1": ("cancelled", "acknowledged"), "2": ("pending", "")}


def test_one_that_is_cancelled_before_it_was_written_is_never_pending(url):
    async def work(notices, _):
        await notices.keep([changes(cancelled(notice("1")))])
        await notices.keep([changes(notice("1"))])
        return await notices.page(NoticeQuestion())

    assert states(run(url, work)) == {"1": ("cancelled", "acknowledged")}


def test_a_whole_state_adds_what_was_missed_and_cancels_what_is_over_in_its_partition(url):
    async def work(notices, _):
        await notices.keep([
            changes(notice("over"), notice("kept"), notice("newer", due=2000)), changes(notice("elsewhere"), partition=1),
        ])  # fmt: skip
        await notices.keep([changes(notice("kept"), notice("missed"), whole=True)])
        return await notices.page(NoticeQuestion())

    found = states(run(url, work))
    assert found.pop("over") == ("cancelled", "over")
    assert set(found) == {"kept", "missed", "newer", "elsewhere"}
    assert {state for state, _ in found.values()} == {"pending"}


def test_questions_narrow_the_list(url):
    async def work(notices, _):
        await notices.keep([changes(notice("1"), notice("2", patient="q"), cancelled(notice("3")))])
        return [
            [one.id for one in await notices.page(question)]
            for question in (
                NoticeQuestion(patient="q"), NoticeQuestion(state="cancelled"), NoticeQuestion(wards=["B"]),
                NoticeQuestion(wards=[], patients=["q"]), NoticeQuestion(alarm="b"), NoticeQuestion(limit=1),
                NoticeQuestion(before=(100, "2")),
            )
        ]  # fmt: skip

    assert run(url, work) == [["2"], ["3"], [], ["2"], [], ["3"], ["1"]]


def test_old_ones_are_deleted(url):
    async def work(notices, _):
        await notices.keep([changes(*(notice(str(at), due=at) for at in range(20)))])
        return await notices.prune(15), len(await notices.page(NoticeQuestion()))

    assert run(url, work) == (15, 5)


def test_members_of_a_role_who_may_see_the_ward_are_named(url, clock):
    async def work(notices, database):
        sessions = Sessions(database, clock, lambda: 0.0, lambda _: None)
        people = People(database, clock, sessions, passwords=None)  # type: ignore[arg-type] # nobody has a password
        for name, role, wards in (
            ("ada", "clinician", ["A"]), ("bob", "clinician", ["B"]), ("cem", "clinician", ["*"]), ("dan", "viewer", ["A"]),
        ):  # fmt: skip
            await people.create(name, role, wards, None)
        await people.create("eve", "clinician", ["A"], None)
        await people.change("eve", disabled=True)
        await notices.keep([changes(notice("1", people=["cem", "zoe"]))])
        return (await notices.page(NoticeQuestion()))[0].people

    assert run(url, work) == ["cem", "zoe", "ada"]
