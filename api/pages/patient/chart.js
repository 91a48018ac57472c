/* The chart of one signal on a patient's page: readings, the twin's course and band, the forecast's fan, the limits; on
   request, the forecasts that were made earlier for the times shown. */

import uPlot from "../vendor/uPlot-1.6.32.esm.js";
import * as clock from "../shared/clock.js";
import { decimals, limitValue, measure, number, shortTime, time, value } from "../shared/format.js";
import { t } from "../shared/i18n.js";
import { horizons } from "../shared/signals.js";

const TEXT = "#9aa7b4";
const GRID = "#222b34";
const COURSE_LINE = "rgb(86 194 150 / 85%)";
const SEEN_LINE = "#dfe7ef";
const HEIGHT = 190;
/* A point within so many pixels of the cursor counts as under it. */
const REACH = 3;
const BANDS = {
  observed: "rgb(201 212 223 / 22%)", estimate: "rgb(86 194 150 / 26%)",
  wide: "rgb(108 182 255 / 16%)", middle: "rgb(108 182 255 / 30%)", past: "rgb(108 182 255 / 9%)",
};
const LIMIT_COLOURS = { critical_low: "#ff8d84", low: "#e0b84c", high: "#e0b84c", critical_high: "#ff8d84" };
/* Positions of the series in uPlot's columns. Later ones are drawn over earlier ones: readings over the twin's course. */
const [PAST_LOW, PAST_HIGH, PAST, UNDER, OVER, COURSE, LOW, HIGH, SEEN, Q05, Q25, Q50, Q75, Q95] = Array.from({ length: 14 }, (_, i) => i + 1);

/** The labels of an axis, with as many decimals as its ticks need: 97.5 must not read 98. */
function labels(splits) {
  const places = Math.max(0, ...splits.map((split) => decimals(split)));
  return splits.map((split) => number(split, places));
}

/** Columns for uPlot (seconds), with a null where readings pause for longer than `gap` ms, so the line breaks. */
function broken(times, gap, ...columns) {
  const table = [[], ...columns.map(() => [])];
  times.forEach((at, i) => {
    if (i && at - times[i - 1] > gap) {
      table[0].push((times[i - 1] + 1) / 1000);
      columns.forEach((_, c) => table[c + 1].push(null));
    }
    table[0].push(at / 1000);
    columns.forEach((column, c) => table[c + 1].push(column[i]));
  });
  return table;
}

/** Join tables by time. A broken line stays broken where the times of other lines fall into the break. */
const joined = (...tables) => uPlot.join(tables.map((table) => (table[0].length ? table : [[0], ...table.slice(1).map(() => [null])])),
  tables.map((table) => table.map(() => 2)));

/** The earlier forecasts for moments up to `end` ms, as columns for uPlot; empty without `pastForecast`. */
function pastColumns(end, pastForecast) {
  if (!pastForecast) return [[], [], [], []];
  const { time: times, low, high, mid, gap } = pastForecast;
  const length = times.findLastIndex((at) => at <= end) + 1;
  return broken(times.slice(0, length), gap, ...[low, high, mid].map((column) => column.slice(0, length)));
}

/** The part of a course up to `end` ms. */
function until(end, { time, low, high, last }) {
  const length = time.findLastIndex((at) => at <= end) + 1;
  return [time, low, high, last].map((column) => column.slice(0, length));
}

/** The forecast as columns: from the estimate now, through the horizons, five quantiles of the seven. */
function ahead(reading, minutes) {
  const known = horizons();
  const rows = (reading.f ?? []).filter((row, i) => known[i] <= minutes && row.length === 7 && row.every(Number.isFinite));
  if (!rows.length) return [[], [], [], [], [], []];
  const times = [0, ...known.slice(0, rows.length)].map((minute) => (reading.t + minute * 60000) / 1000);
  const start = reading.m ?? reading.v;
  return [times, ...[0, 2, 3, 4, 6].map((q) => [start, ...rows.map((row) => row[q])])];
}

export class Chart {
  #plot = null;
  #limits = {};
  #range = { back: 1800000, ahead: 1800000 };
  #before = 0;

  constructor(name) {
    this.name = name;
    this.readout = document.createElement("p");
    this.readout.className = "readout";
    this.root = document.createElement("div");
    this.root.className = "chart";
    this.root.setAttribute("role", "img");
    new ResizeObserver(() => this.#fit()).observe(this.root);
  }

  /**
   * Draw again. `seen` and `twin` (its `last` the mean) are traces, `reading` the entry's signal, `range` {back, ahead} in ms;
   * `pastForecast` the forecasts made `minutes` before, as columns {time, low, mid, high} with their own `gap`, or null.
   */
  update({ seen, twin, reading, limits, range, gap, old, pastForecast }) {
    this.#limits = limits;
    this.#range = range;
    this.#before = pastForecast?.minutes ?? 0;
    const earlier = pastColumns(clock.now(), pastForecast);
    const observed = broken(seen.time, gap, seen.low, seen.high, seen.last);
    const forecast = old ? [[], [], [], [], [], []] : ahead(reading, range.ahead / 60000);
    // Never two bands at one time: the twin's course ends where the forecast begins, at the newest reading.
    const [times, ...course] = until(forecast[0].length ? reading.t : Infinity, twin);
    const columns = joined(earlier, broken(times, gap, ...course), observed, forecast);
    if (this.#plot) this.#plot.setData(columns);
    else this.#make(columns);
    this.root.setAttribute("aria-label", this.#summary(seen, reading, forecast, earlier));
  }

  destroy() {
    this.#plot?.destroy();
  }

  #make(columns) {
    const width = this.root.clientWidth || 480;
    const hidden = { stroke: null, width: 0, points: { show: false } };
    const line = (stroke, extra = {}) => ({ stroke, width: 1.5, points: { show: false }, ...extra });
    const edge = line("rgb(108 182 255 / 45%)", { width: 1, dash: [1, 3] });
    const sparse = { points: { show: (u) => u.data[SEEN].filter(Number.isFinite).length < 80, size: 5, fill: SEEN_LINE, stroke: SEEN_LINE } };
    const axis = { stroke: TEXT, grid: { stroke: GRID, width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    this.#plot = new uPlot({
      width, height: HEIGHT, legend: { show: false }, padding: [10, 8, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
      scales: { x: { time: false, range: () => this.#across() }, y: { range: (u) => this.#upright(u) } },
      axes: [
        { ...axis, space: 70, size: 28, incrs: [300, 600, 900, 1800, 3600, 7200, 14400, 21600], values: (u, splits) => splits.map((s) => shortTime(s * 1000)) },
        { ...axis, size: 46, space: 30, values: (u, splits) => labels(splits) },
      ],
      series: [{}, edge, edge, line("#6cb6ff", { width: 1, dash: [5, 4] }), hidden, hidden, line(COURSE_LINE), hidden, hidden, line(SEEN_LINE, sparse),
        hidden, hidden, line("#6cb6ff", { dash: [5, 4] }), hidden, hidden],
      bands: [
        { series: [PAST_HIGH, PAST_LOW], fill: BANDS.past },
        { series: [OVER, UNDER], fill: BANDS.estimate }, { series: [HIGH, LOW], fill: BANDS.observed },
        { series: [Q95, Q05], fill: BANDS.wide }, { series: [Q75, Q25], fill: BANDS.middle },
      ],
      hooks: { drawSeries: [(u, series) => series === SEEN && this.#extremes(u)], drawAxes: [(u) => this.#rules(u)], setCursor: [(u) => this.#readOut(u)] },
    }, columns, this.root);
    this.root.append(this.readout);
  }

  #across() {
    const now = clock.now();
    return [(now - this.#range.back) / 1000, (now + this.#range.ahead) / 1000];
  }

  #upright(u) {
    const from = this.#across()[0];
    let [low, high] = [Infinity, -Infinity];
    for (const column of [LOW, HIGH, SEEN, COURSE, Q05, Q95, PAST_LOW, PAST_HIGH]) {
      u.data[column].forEach((v, i) => {
        if (!Number.isFinite(v) || u.data[0][i] < from) return;
        low = Math.min(low, v);
        high = Math.max(high, v);
      });
    }
    for (const bound of [this.#limits.low, this.#limits.high]) {
      if (bound === null || !Number.isFinite(bound)) continue;
      low = Math.min(low, bound);
      high = Math.max(high, bound);
    }
    if (!Number.isFinite(low)) return [0, 1];
    const pad = Math.max((high - low) * 0.08, 0.5);
    return [low - pad, high + pad];
  }

  /**
   * Where many readings fall into one pixel column, draw their lowest and highest. A line of averages would show a single
   * SpO2 of 70 among many of 97 as 96.
   */
  #extremes(u) {
    const { ctx, bbox } = u;
    const [times, low, high] = [0, LOW, HIGH].map((column) => u.data[column]);
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.strokeStyle = SEEN_LINE;
    ctx.lineWidth = 1.5 * (devicePixelRatio || 1);
    ctx.beginPath();
    for (let i = 0; i < times.length; i += 1) {
      if (!Number.isFinite(low[i]) || !(high[i] > low[i])) continue;
      const x = u.valToPos(times[i], "x", true);
      ctx.moveTo(x, u.valToPos(low[i], "y", true));
      ctx.lineTo(x, u.valToPos(high[i], "y", true));
    }
    ctx.stroke();
    ctx.restore();
  }

  /** The limit lines with their names, and the line of now. */
  #rules(u) {
    const { ctx, bbox } = u;
    const ratio = devicePixelRatio || 1;
    ctx.save();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "bottom";
    ctx.lineWidth = ratio;
    for (const [bound, colour] of Object.entries(LIMIT_COLOURS)) {
      const at = this.#limits[bound];
      if (at === null || !Number.isFinite(at) || at < u.scales.y.min || at > u.scales.y.max) continue;
      const y = Math.round(u.valToPos(at, "y", true)) + 0.5;
      ctx.strokeStyle = ctx.fillStyle = colour;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
      ctx.fillText(`${t(`limit.${bound}`)} ${limitValue(this.name, at)}`, bbox.left + 4 * ratio, y - 1);
    }
    const x = Math.round(u.valToPos(clock.now() / 1000, "x", true)) + 0.5;
    ctx.setLineDash([]);
    ctx.strokeStyle = "#5b6773";
    ctx.fillStyle = TEXT;
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    ctx.textBaseline = "top";
    ctx.fillText(t("chart.now"), x + 4 * ratio, bbox.top);
    ctx.restore();
  }

  #readOut(u) {
    const { idx } = u.cursor;
    let said = "";
    if (Number.isInteger(idx) && u.cursor.left >= 0) {
      const at = time(u.data[0][idx] * 1000);
      const [low, seen, high] = this.#near(u, SEEN, LOW, SEEN, HIGH);
      const [under, course, over] = this.#near(u, COURSE, UNDER, COURSE, OVER);
      const [q05, q50, q95] = [Q05, Q50, Q95].map((column) => u.data[column][idx]);
      const twin = [this.#course(course, value(this.name, under), value(this.name, over)), this.#pastForecast(u)].filter(Boolean).join(" · ");
      if (Number.isFinite(seen)) {
        const texts = { time: at, value: measure(this.name, seen), low: value(this.name, low), high: value(this.name, high) };
        said = [low < high ? t("chart.point_band", texts) : t("chart.point", texts), twin].filter(Boolean).join(" · ");
      } else if (twin) {
        said = t("chart.point_gap", { time: at, course: twin });
      } else if (Number.isFinite(q50)) {
        const texts = { time: at, value: measure(this.name, q50), low: value(this.name, q05), high: value(this.name, q95) };
        said = t("chart.point_forecast", texts);
      }
    }
    this.readout.textContent = said;
  }

  /** The columns' values at the cursor, or at the nearest place beside it where `key` has a value. */
  #near(u, key, ...columns) {
    const { idx } = u.cursor;
    const at = (i) => u.valToPos(u.data[0][i], "x");
    const near = [idx, idx - 1, idx + 1, idx - 2, idx + 2]
      .find((i) => Number.isFinite(u.data[key][i]) && Math.abs(at(i) - at(idx)) <= REACH);
    return columns.map((column) => u.data[column][near]);
  }

  /** The earlier forecast for the cursor's moment: the nearest one under the cursor or within 90 s of it. */
  #pastForecast(u) {
    const { idx } = u.cursor;
    const [times, column] = [u.data[0], u.data[PAST]];
    const under = (i) => Math.abs(times[i] - times[idx]) <= 90 || Math.abs(u.valToPos(times[i], "x") - u.valToPos(times[idx], "x")) <= REACH;
    let near = -1;
    for (const step of [-1, 1]) {
      let i = idx;
      while (i >= 0 && i < times.length && under(i) && !Number.isFinite(column[i])) i += step;
      if (Number.isFinite(column[i]) && under(i) && (near < 0 || Math.abs(times[i] - times[idx]) < Math.abs(times[near] - times[idx]))) near = i;
    }
    if (near < 0) return "";
    const texts = { minutes: this.#before, value: measure(this.name, column[near]), low: value(this.name, u.data[PAST_LOW][near]), high: value(this.name, u.data[PAST_HIGH][near]) };
    return t("chart.point_past_forecast", texts);
  }

  #course(course, low, high) {
    if (!Number.isFinite(course)) return "";
    const texts = { value: measure(this.name, course), low, high };
    return low === high ? t("chart.point_course", texts) : t("chart.point_course_band", texts);
  }

  #fit() {
    if (this.#plot && this.root.clientWidth) this.#plot.setSize({ width: this.root.clientWidth, height: HEIGHT });
  }

  /** The chart in words, for those who cannot see it. */
  #summary(seen, reading, forecast, earlier) {
    const signal = t(`signal.${this.name}`);
    const range = t(`patient.range.${this.#range.back / 1000}`);
    if (!seen.time.length) return t("chart.summary_none", { signal, range });
    const texts = { signal, range, value: measure(this.name, reading.v), low: value(this.name, Math.min(...seen.low)), high: value(this.name, Math.max(...seen.high)) };
    const said = [t("chart.summary", texts)];
    const newest = earlier[0].length - 1;
    if (newest >= 0) {
      const [, low, high, mid] = earlier.map((column) => column[newest]);
      said.push(t("chart.summary_past_forecast", { minutes: this.#before, value: measure(this.name, mid), low: value(this.name, low), high: value(this.name, high) }));
    }
    const last = forecast[0].length - 1;
    if (last > 0) {
      const minutes = Math.round((forecast[0][last] - forecast[0][0]) / 60);
      said.push(t("chart.summary_forecast", { minutes, value: measure(this.name, forecast[3][last]), low: value(this.name, forecast[1][last]), high: value(this.name, forecast[5][last]) }));
    }
    return said.join(" ");
  }
}
