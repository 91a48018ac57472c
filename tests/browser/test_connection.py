"""A lost connection must be visible, and so must a service that does not record or evaluate readings."""

import os
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Cable, Service, demo

LIVE = "body[data-link=live]"
# The page's subscriptions: the number by channel.
SUBSCRIPTIONS = """
const Original = WebSocket;
window.subs = {};
window.WebSocket = class extends Original {
  send(text) {
    const said = JSON.parse(text);
    if (said.type === "subscribe") window.subs[said.channel] = said.id;
    super.send(text);
  }
};
"""
CLOCK = "() => document.getElementById('clock').textContent"


def open_ward(service: Service, page: Page, ward: str = "*") -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{service.address}/#/ward/{ward}")
    expect(page.locator(f"{LIVE} .tile .row").first).to_be_visible(timeout=120_000)


def test_a_silent_service_is_noticed_soon_and_the_time_told_is_that_of_the_last_contact(
    service: Service, page: Page, cable: Callable[..., Cable]
) -> None:
    """With the service's own heartbeat."""
    line = cable(page)
    open_ward(service, page)
    page.wait_for_timeout(1_000)
    line.quiet()
    before = page.evaluate(CLOCK)
    page.locator("body.lost").wait_for(timeout=8_000)
    told = page.locator("#banner strong").inner_text()
    clocks = re.findall(r"\d+:\d\d:\d\d", before + " " + told)
    then, since = (
        sum(int(part) * size for part, size in zip(one.split(":"), (3600, 60, 1), strict=True)) for one in clocks
    )
    assert abs(then - since) <= 2, (before, told)
    expect(page.locator("#link")).to_have_text("No connection")
    line.mend()
    expect(page.locator(LIVE)).to_have_count(1, timeout=20_000)


def test_after_sleep_nothing_old_stands_as_live(service: Service, page: Page, cable: Callable[..., Cable]) -> None:
    """The wall clock ran on and the steady clock did not, as on a closed laptop."""
    line = cable(page)
    page.add_init_script(
        "const now = Date.now.bind(Date); window.slept = 0; Date.now = () => now() + window.slept;"
        "window.links = []; setInterval(() => window.links.push(document.body.dataset.link), 5);"
    )
    open_ward(service, page)
    line.quiet()
    page.evaluate(
        """() => { window.slept = 3600000; document.dispatchEvent(new Event("visibilitychange")); window.links.length = 0; }"""
    )
    assert page.evaluate("document.body.dataset.link") == "lost"
    assert page.evaluate("document.body.classList.contains('lost')")
    expect(page.locator("#banner")).to_contain_text("No connection since")
    page.wait_for_timeout(1_500)
    # An open socket is not enough: only a new snapshot ends it.
    assert set(page.evaluate("window.links")) == {"lost"}
    line.mend()
    expect(page.locator(LIVE)).to_have_count(1, timeout=20_000)


def test_a_network_that_goes_is_believed_at_once(service: Service, page: Page) -> None:
    open_ward(service, page)
    page.context.set_offline(True)
    page.locator("body.lost").wait_for(timeout=2_000)
    page.context.set_offline(False)
    expect(page.locator(LIVE)).to_have_count(1, timeout=20_000)


@pytest.mark.parametrize(
    ("health", "serious", "said"),
    [
        ({"writes": "disk_full"}, True, "disk is full"),
        ({"writes": "log_unavailable"}, True, "cannot reach its log"),
        ({"writes": "something_new"}, True, "Nothing is being recorded"),
        ({"twins": "stopped"}, True, "the twins have stopped"),
        ({"twins": "warming"}, True, "still starting"),
        ({"twins": "partition 3 stands"}, True, "not being evaluated (partition 3 stands)"),
        ({"estimate_age_s": 11.0}, True, "evaluated 11 s late"),
        ({"lag_s": 40.0}, True, "evaluated 40 s late"),
        ({"lag_s": 6.0}, False, "evaluated 6 s late"),
        ({"clock_apart_s": 120.0}, False, "2 min ahead of the wall clock"),
        ({"clock_apart_s": -7200.0}, False, "2 h 00 min behind the wall clock"),
    ],
)
def test_a_fault_of_the_service_stands_in_plain_words(
    service: Service, page: Page, cable: Callable[..., Cable], health: dict[str, object], serious: bool, said: str
) -> None:
    line = cable(page)
    open_ward(service, page)
    line.feel()
    expect(page.locator("#faults")).to_be_hidden()
    line.feel(**health)
    expect(page.locator("#faults p")).to_contain_text(said)
    expect(page.locator("#faults .serious")).to_have_count(int(serious))
    expect(page.locator("#link")).to_have_text("Fault" if serious else "Live")
    line.feel()
    expect(page.locator("#faults")).to_be_hidden()
    expect(page.locator("#link")).to_have_text("Live")


def test_an_ended_subscription_of_a_patient_leaves_nothing_old(
    service: Service, page: Page, cable: Callable[..., Cable]
) -> None:
    """A patient moved to a ward that this nurse may not see: the values disappear and do not come back."""
    patient = service.admit("ended")
    service.observe(patient, "heart_rate", 75, 10)
    line = cable(page)
    page.add_init_script(SUBSCRIPTIONS)
    page.goto(f"{service.address}/#/patient/{patient}")
    expect(page.locator(".signal .value").first).to_have_text("75", timeout=120_000)
    first = page.evaluate("window.subs")[f"patient/{patient}"]
    line.tell(
        {
            "type": "error",
            "sub": first,
            "reason": "forbidden",
            "detail": "the patient has moved to a ward that you may not read",
        }
    )
    expect(page.locator(".patient h1")).to_have_text(
        "The service has stopped sending this patient's values to this page. Asking again …"
    )
    expect(page.locator(".signal")).to_have_count(0)
    assert "75" not in page.locator("main").inner_text()
    # Requested again by a person with the right, it comes back completely.
    expect(page.locator(".patient h1")).to_contain_text(patient, timeout=15_000)
    expect(page.locator(".signal .value").first).to_have_text("75", timeout=15_000)
    assert page.evaluate("window.subs")[f"patient/{patient}"] > first


def test_an_ended_subscription_of_a_ward_leaves_nothing_old(
    service: Service, page: Page, cable: Callable[..., Cable]
) -> None:
    patient = service.admit("endedward")
    service.observe(patient, "heart_rate", 75, 10)
    line = cable(page)
    page.add_init_script(SUBSCRIPTIONS)
    open_ward(service, page, "endedward")
    line.tell({"type": "error", "sub": page.evaluate("window.subs")["ward/endedward"], "reason": "forbidden"})
    expect(page.locator("#banner")).to_contain_text("has stopped sending this ward's values")
    expect(page.locator(".tile")).to_have_count(0)
    expect(page.locator(".tile")).to_have_count(1, timeout=15_000)
    expect(page.locator("#banner")).to_be_empty()


STORE = """
async (count) => {
  const { Store } = await import("./shared/store.js");
  const store = new Store();
  store.take({ type: "snapshot", epoch: "e", offset: 0, entries: { p: { signals: {}, alarms: [] } } });
  const alarm = (i) => ({
    id: `a${i}`, patient: "p", condition: "limit.low", signal: "heart_rate", priority: "low", presence: "off",
    onset: 1000 * i, time: 1000 * i, number: 2,
  });
  for (let i = 0; i < count; i += 1) store.transition(alarm(i), true);
  const length = store.transitions.length;
  const newest = store.transitions.at(-1).id;
  store.transition(alarm(count - 1), true);
  const again = store.transitions.length;
  store.clear();
  return [length, newest, again, store.transitions.length, store.entries.size];
}
"""


def test_events_are_bounded_and_go_with_their_ward(service: Service, page: Page) -> None:
    open_ward(service, page)
    length, newest, again, left, entries = page.evaluate(STORE, 5000)
    assert (length, newest, again) == (500, "a4999", 500)
    assert (left, entries) == (0, 0)


def test_another_ward_shows_no_events_of_the_former_one(service: Service, page: Page) -> None:
    patient = service.admit("former")
    service.admit("next")
    service.observe(patient, "heart_rate", 75, 20)
    open_ward(service, page, "former")
    service.observe(patient, "glucose", 45, 1)
    expect(page.locator(".events .event").first).to_be_visible(timeout=60_000)
    page.goto(f"{service.address}/#/ward/next")
    expect(page.locator(".tile")).to_have_count(1, timeout=15_000)
    expect(page.locator(".events .event")).to_have_count(0)


@pytest.mark.fault
def test_a_service_that_hangs_is_noticed_with_its_last_word(tmp_path: Path, page: Page) -> None:
    """A stopped process: its sockets stay open, the kernel accepts requests, and nothing is answered."""
    with demo(tmp_path) as service:
        open_ward(service, page)
        os.kill(service.pid, signal.SIGSTOP)
        try:
            page.locator("body.lost").wait_for(timeout=10_000)
            expect(page.locator("#banner")).to_contain_text("No connection since")
        finally:
            os.kill(service.pid, signal.SIGCONT)
        expect(page.locator(LIVE)).to_have_count(1, timeout=60_000)


@pytest.mark.fault
def test_a_service_whose_disk_takes_nothing_says_so_and_comes_back(tmp_path: Path, page: Page) -> None:
    """The system refuses every write beyond the first page of a file, as a full or broken disk does."""
    with demo(tmp_path) as service:
        open_ward(service, page)
        expect(page.locator("#faults")).to_be_hidden(timeout=60_000)
        before = resource.prlimit(service.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(service.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            said = re.compile("Nothing is being recorded")
            expect(page.locator("#faults .serious").filter(has_text=said)).to_be_visible(timeout=60_000)
            expect(page.locator("#link")).to_have_text("Fault")
        finally:
            resource.prlimit(service.pid, resource.RLIMIT_FSIZE, before)
        expect(page.locator("#faults")).to_be_hidden(timeout=120_000)
        expect(page.locator("#link")).to_have_text("Live")
