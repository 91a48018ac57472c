"""Charts: extremes where many readings share a pixel column, and axis labels that equal their ticks."""

import re
from itertools import pairwise

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Service

DAY_MIN = 1440

# A day of SpO2 97 with one reading of 70, drawn by the page's chart; returns the rows of the picture with pixels as bright
# as the line of readings, as values of the axis.
DRAWN = """
async ({ low, high, dip, minutes }) => {
  const { Chart } = await import("./patient/chart.js");
  const { Trace } = await import("./patient/history.js");
  const clock = await import("./shared/clock.js");
  const chart = new Chart("oxygen_saturation");
  Object.assign(chart.root.style, { width: "600px" });
  document.body.append(chart.root);
  const now = clock.now();
  const [seen, twin] = [new Trace(minutes, 600), new Trace(minutes, 600)];
  const count = 20000;
  for (let i = 0; i < count; i += 1) {
    const at = now - minutes * 60000 * (1 - i / count);
    seen.add(at, i === dip * count ? low : high);
  }
  chart.update({
    seen, twin, reading: { t: now, v: high, m: null, f: [] }, limits: {}, old: false, pastForecast: null,
    range: { back: minutes * 60000, ahead: 3600000 }, gap: 3600000,
  });
  await new Promise((go) => setTimeout(go, 300));
  const canvas = chart.root.querySelector("canvas");
  const over = chart.root.querySelector(".u-over");
  const ratio = canvas.width / canvas.clientWidth;
  const box = [over.offsetLeft, over.offsetTop, over.clientWidth, over.clientHeight];
  const [left, top, width, height] = box.map((x) => Math.round(x * ratio));
  const pixels = canvas.getContext("2d").getImageData(left, top, width, height).data;
  const rows = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const at = 4 * (y * width + x);
      if (pixels[at] > 200 && pixels[at + 3] > 150) { rows.push(y / height); break; }
    }
  }
  chart.root.remove();
  const pad = Math.max((high - low) * 0.08, 0.5);
  const value = (share) => (high + pad) - share * (high - low + 2 * pad);
  return [value(rows.at(-1)), value(rows[0])];
}
"""
SPARKLINE = """
async () => {
  const { draw, follow } = await import("./ward/sparkline.js");
  const { Trace } = await import("./patient/history.js");
  const canvas = follow(document.createElement("canvas"));
  Object.assign(canvas.style, { width: "80px", height: "60px", display: "block" });
  document.body.append(canvas);
  await new Promise((go) => setTimeout(go, 300));
  const now = Date.now();
  const trace = new Trace(30, 180);
  for (let i = 0; i < 1800; i += 1) trace.add(now - 1800000 + i * 1000, i === 900 ? 70 : 97);
  draw(canvas, { trace, forecast: [], at: now, now, span: { back: 30, ahead: 30 }, limits: {}, old: false, gap: 60000 });
  const { width, height } = canvas;
  const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
  let lowest = 0;
  for (let at = 0; at < width * height; at += 1) if (pixels[4 * at] > 150) lowest = Math.floor(at / width) / height;
  canvas.remove();
  const pad = 27 * 0.08;
  return (97 + pad) - lowest * (27 + 2 * pad);
}
"""
LABELS = """
async ([low, high]) => {
  const said = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    said.push(text);
    return write.call(this, text, ...rest);
  };
  const { Chart } = await import("./patient/chart.js");
  const { Trace } = await import("./patient/history.js");
  const clock = await import("./shared/clock.js");
  const chart = new Chart("oxygen_saturation");
  Object.assign(chart.root.style, { width: "600px" });
  document.body.append(chart.root);
  const now = clock.now();
  const [seen, twin] = [new Trace(30, 600), new Trace(30, 600)];
  seen.add(now - 60000, low);
  seen.add(now - 30000, high);
  chart.update({
    seen, twin, reading: { t: now, v: high, m: null, f: [] }, limits: {}, old: false, pastForecast: null,
    range: { back: 1800000, ahead: 1800000 }, gap: 60000,
  });
  await new Promise((go) => setTimeout(go, 300));
  CanvasRenderingContext2D.prototype.fillText = write;
  chart.root.remove();
  return said.filter((text) => /^[-\\d.,]+$/.test(text));
}
"""


@pytest.fixture
def ward(service: Service, page: Page) -> Page:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator("body[data-link=live]")).to_have_count(1, timeout=120_000)
    return page


@pytest.mark.parametrize("minutes", [30, DAY_MIN])
def test_the_lowest_reading_is_drawn_where_it_was(ward: Page, minutes: int) -> None:
    lowest, highest = ward.evaluate(DRAWN, {"low": 70, "high": 97, "dip": 0.5, "minutes": minutes})
    assert lowest == pytest.approx(70, abs=0.6)
    assert highest == pytest.approx(97, abs=0.6)


def test_the_lowest_reading_is_drawn_on_the_ward_too(ward: Page) -> None:
    assert ward.evaluate(SPARKLINE) == pytest.approx(70, abs=1.0)


@pytest.mark.parametrize("span", [(96.9, 98.2), (97.0, 97.0), (90.0, 100.0), (36.6, 36.9), (96.0, 99.9), (0.0, 0.4)])
def test_labels_are_the_numbers_of_their_ticks(ward: Page, span: tuple[float, float]) -> None:
    drawn = [float(label) for label in ward.evaluate(LABELS, list(span))]
    labels = sorted(set(drawn))
    # Each label once, however often it was drawn: two ticks with the same label would give fewer.
    assert len(labels) >= 2
    assert len(drawn) % len(labels) == 0
    steps = {round(b - a, 6) for a, b in pairwise(labels)}
    assert len(steps) == 1, labels


def test_an_address_that_is_wrongly_written_is_no_blank_page(service: Service, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for address in ("#/patient/%", "#/patient/%E0%A4%A", "#/ward/%", "#/ward/%zz", "#/patient/", "#/%", "#/nothing/%"):
        page.goto("about:blank")
        page.goto(f"{service.address}/{address}")
        expect(page.locator("body[data-link=live]")).to_have_count(1, timeout=120_000)
        expect(page.locator("main h1")).not_to_be_empty()
        if address.startswith("#/patient/%"):
            expect(page.locator("main h1")).to_have_text("No such patient, or not in your wards.")
    assert errors == []


def test_a_history_that_is_not_kept_is_not_asked_for_without_end(service: Service, page: Page) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, json={"type": "/problems/store-unavailable", "title": "no history", "status": 503})

    page.route("**/history?*", refuse)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{service.address}/#/ward/*")
    expect(page.locator(".tile .row .value").first).to_be_visible(timeout=120_000)
    expect(page.locator(".without")).to_have_text(re.compile("are not available"), timeout=15_000)
    page.wait_for_timeout(20_000)
    # Two rounds of four requests: the pause after the first is ten seconds, and then longer.
    assert 1 <= len(asked) <= 12
    page.unroute("**/history?*", refuse)
    expect(page.locator(".without")).to_be_empty(timeout=60_000)
