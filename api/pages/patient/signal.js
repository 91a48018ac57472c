/* One signal of the patient's page: name, value, what the twin expects, and its chart over the chosen time. */

import { offText } from "./alarms-off.js";
import { Chart } from "./chart.js";
import * as clock from "../shared/clock.js";
import { attribute, h, mark, write } from "../shared/dom.js";
import { trend } from "../alarms/explain.js";
import { age, measure, number, percent, signalName, unit, value } from "../shared/format.js";
import { columns, pastForecasts, read, smoothed, Trace } from "./history.js";
import { t } from "../shared/i18n.js";
import { signal } from "../shared/signals.js";
import { fan } from "../ward/sparkline.js";
import { isImplausible, isOld, present, rejected } from "./reading.js";
import { byUrgency, standing } from "../shared/store.js";
import { ended } from "../alarms/words.js";

const POINTS = 600;
const FURTHEST_MS = 3600000;
/* The page shows the forecasts made so many minutes before, and loads them again after half that time. */
const BEFORE_MIN = 30;
const RELOAD_MS = BEFORE_MIN * 30000;
/* One forecast per minute is stored. One missing forecast must not break the line. */
const PAST_GAP_MS = 200000;
const NOTHING = { time: [], low: [], mid: [], high: [] };

export class SignalView {
  #seen;
  #twin;
  #turn = 0;
  #pastForecast = null;
  #pastLoaded = 0;

  constructor(patient, name) {
    this.patient = patient;
    this.name = name;
    this.chart = new Chart(name);
    this.number = h("span", { class: "value" });
    this.ended = h("p", { class: "ended-note" });
    this.off = h("p", { class: "off-note" });
    this.expected = h("p", { class: "expected" });
    this.forecast = h("p", { class: "forecast" });
    this.state = h("p", { class: "state" });
    this.problem = h("p", { class: "problem" });
    this.lacking = h("p", { class: "lacking" });
    this.root = h("section", { class: "signal", dataset: { signal: name } },
      h("div", { class: "signal-head" }, h("h2", {}, signalName(name)),
        h("div", { class: "reading" }, h("p", {}, this.number, h("span", { class: "unit" }, unit(name))), this.ended),
        h("div", { class: "twin" }, this.off, this.expected, this.forecast, this.state)),
      this.problem, this.lacking, this.chart.root);
  }

  /** Show the last `back` ms: request the readings and the twin's course. */
  async show(back) {
    this.range = { back, ahead: Math.min(back, FURTHEST_MS) };
    const turn = ++this.#turn;
    const minutes = back / 60000;
    this.#seen = new Trace(minutes, POINTS);
    this.#twin = new Trace(minutes, POINTS);
    write(this.problem, t("chart.loading"));
    const end = clock.now() + 1000;
    const asked = [this.patient, this.name, end - back, end, POINTS];
    try {
      const [observed, course] = await Promise.all([read(...asked), smoothed(...asked)]);
      if (turn !== this.#turn) return;
      this.#seen.prepend(columns(observed));
      this.#twin.prepend(course);
      write(this.problem, "");
      if (this.#pastForecast) await this.#loadPastForecast();
    } catch {
      if (turn === this.#turn) write(this.problem, t("chart.failed"));
    }
  }

  /** Show or hide the forecasts that were made earlier for the times shown. */
  async showPastForecast(shown) {
    this.#pastForecast = shown ? NOTHING : null;
    write(this.lacking, "");
    if (shown && this.range) await this.#loadPastForecast();
  }

  async #loadPastForecast() {
    const turn = this.#turn;
    this.#pastLoaded = clock.now();
    const start = this.#pastLoaded - this.range.back;
    const found = await pastForecasts(this.patient, this.name, start, BEFORE_MIN, POINTS).catch(() => null);
    if (turn !== this.#turn || !this.#pastForecast) return;
    this.#pastForecast = found ?? this.#pastForecast;
    const any = this.#pastForecast.time.some((at) => at >= start && at <= clock.now());
    write(this.lacking, found ? any ? "" : t("chart.past_forecast_none", { minutes: BEFORE_MIN }) : t("chart.failed"));
  }

  /** Readings are back after a gap: the twin's estimate for the gap has changed, so load it again. */
  async #reloadCourse() {
    const turn = this.#turn;
    const { back } = this.range;
    const end = clock.now() + 1000;
    const course = await smoothed(this.patient, this.name, end - back, end, POINTS).catch(() => null);
    if (turn !== this.#turn || !course) return;
    const live = this.#twin;
    this.#twin = new Trace(back / 60000, POINTS);
    this.#twin.prepend(course);
    live.time.forEach((at, i) => this.#twin.add(at, live.last[i], live.low[i], live.high[i]));
  }

  /** A line breaks at pauses longer than this, in ms. */
  get #gap() {
    return 3000 * Math.max(signal(this.name).silence_s ?? 60, 20, this.range.back / 1000 / POINTS);
  }

  take(reading) {
    if (this.#seen.wentBack(reading.t)) this.show(this.range.back);
    if (reading.t - this.#seen.time.at(-1) > this.#gap) this.#reloadCourse();
    if (Number.isFinite(reading.v) && !isImplausible(this.name, reading)) this.#seen.add(reading.t, reading.v);
    if (Number.isFinite(reading.m)) this.#twin.add(reading.t, reading.m, reading.m - 2 * reading.sd, reading.m + 2 * reading.sd);
  }

  update(entry, limits) {
    const { alarms } = entry;
    const reading = entry.signals[this.name];
    write(this.off, offText(entry, this.name));
    const now = clock.now();
    const old = isOld(this.name, reading, now);
    const doubtful = rejected(this.name, reading);
    write(this.number, value(this.name, present(this.name, reading)));
    write(this.expected, this.#expected(reading, old));
    write(this.forecast, old ? "" : this.#ahead(reading));
    write(this.state, this.#state(reading, old, now));
    mark(this.root, "old", old);
    mark(this.root, "fault", reading.s === "fault" || doubtful);
    const here = alarms.filter((alarm) => alarm.signal === this.name).sort(byUrgency);
    const past = here.find((alarm) => !standing(alarm) && alarm.kind !== "technical");
    write(this.ended, past ? ended(past) : "");
    const worst = (technical) => here.find((alarm) => standing(alarm) && (alarm.kind === "technical") === technical)?.priority ?? null;
    attribute(this.root, "data-alarm", worst(false));
    attribute(this.root, "data-technical", worst(true));
    if (this.#pastForecast && this.#pastLoaded && now - this.#pastLoaded > RELOAD_MS) this.#loadPastForecast();
    const pastForecast = this.#pastForecast && { ...this.#pastForecast, minutes: BEFORE_MIN, gap: Math.max(this.#gap, PAST_GAP_MS) };
    this.chart.update({ seen: this.#seen, twin: this.#twin, reading, limits, range: this.range, gap: this.#gap, old, pastForecast });
  }

  #expected(reading, old) {
    if (!Number.isFinite(reading.m) || old) return "";
    const texts = { mean: value(this.name, reading.m), sd: number(reading.sd, reading.sd < 10 ? 1 : 0) };
    return t("chart.expected_trend", { ...texts, trend: trend(this.name, { trend_per_min: reading.trend, sd: reading.sd }) });
  }

  #ahead(reading) {
    const points = fan(reading.f);
    const point = points.find(({ minutes }) => minutes === 30) ?? points.at(-1);
    if (!point) return "";
    const texts = { minutes: point.minutes, value: measure(this.name, point.mid) };
    return t("chart.forecast", { ...texts, low: value(this.name, point.low), high: value(this.name, point.high) });
  }

  #state(reading, old, now) {
    const since = age((now - reading.t) / 1000);
    const refused = rejected(this.name, reading);
    if (refused) return t("state.not_believed", { value: measure(this.name, refused.value), age: age((now - refused.time) / 1000) });
    if (old) return t("state.silent_long", { age: since });
    if (reading.s === "fault") return t("state.fault_long");
    if (reading.s === "searching") return t("state.searching_long");
    return t("tile.quality", { percent: percent(reading.q) });
  }

  destroy() {
    this.#turn += 1;
    this.chart.destroy();
  }
}
