/* The readings behind a sparkline: first the service's history, then live readings. Thinned, but never losing an extreme. */

import { get, millis, part } from "../shared/http.js";
import { isImplausible } from "./reading.js";
import { signal, span } from "../shared/signals.js";
import * as clock from "../shared/clock.js";

const POINTS = 180;
const AT_ONCE = 4;
/* Without a history (none is stored, or the store is unreachable) the page retries at growing intervals. */
const FIRST_PAUSE_MS = 10000;
const LONGEST_PAUSE_MS = 600000;

/** The trace of one signal: buckets of equal length, each with its last, lowest and highest reading. */
export class Trace {
  time = [];
  low = [];
  high = [];
  last = [];
  filled = false;
  #newest = 0;

  /** `back` in minutes. */
  constructor(back, points = POINTS) {
    this.back = back * 60000;
    this.bucket = this.back / points;
  }

  add(time, value, low = value, high = value) {
    const end = this.time.length - 1;
    if (end >= 0 && time <= this.time[end]) return;
    if (end > 0 && Math.floor(time / this.bucket) === Math.floor(this.time[end] / this.bucket)) {
      this.time[end] = time;
      this.last[end] = value;
      this.low[end] = Math.min(this.low[end], low);
      this.high[end] = Math.max(this.high[end], high);
      return;
    }
    this.time.push(time);
    this.last.push(value);
    this.low.push(low);
    this.high.push(high);
    this.#forget(time - this.back - 2 * this.bucket);
  }

  /** Note the time of the newest reading. True if it went back: then the earlier newest reading was withdrawn. */
  wentBack(time) {
    const before = this.#newest;
    this.#newest = time ?? 0;
    return this.#newest < before;
  }

  clear() {
    Object.assign(this, { time: [], low: [], high: [], last: [], filled: false });
  }

  #forget(before) {
    if (this.time[0] >= before) return;
    const from = this.time.findIndex((time) => time >= before);
    for (const column of [this.time, this.low, this.high, this.last]) column.splice(0, from < 0 ? column.length : from);
  }

  /** Put the history before the live readings. */
  prepend({ time, mean, low, high }) {
    const live = { time: this.time, last: this.last, low: this.low, high: this.high };
    Object.assign(this, { time: [], last: [], low: [], high: [], filled: true });
    const start = live.time[0] ?? Infinity;
    time.forEach((at, i) => at < start && this.add(at, mean[i], low[i], high[i]));
    live.time.forEach((at, i) => this.add(at, live.last[i], live.low[i], live.high[i]));
  }
}

/** A history answer as columns of milliseconds and numbers, whether raw or in buckets. */
export function columns(answer) {
  const time = (answer.time ?? []).map(millis);
  if (answer.mean) return { ...answer, time, low: answer.low ?? answer.mean, high: answer.high ?? answer.mean };
  const keep = time.map((_, i) => [0, 1, 3, 5, 8, 10, 11].includes(answer.status?.[i] ?? 0));
  const value = (answer.value ?? []).filter((_, i) => keep[i]);
  return { time: time.filter((_, i) => keep[i]), mean: value, low: value, high: value };
}

export async function read(patient, name, start, end, points, { course = "", kind = "observations" } = {}) {
  const query = new URLSearchParams({
    signal: name, points, start: new Date(start).toISOString(), end: new Date(end).toISOString(),
  });
  if (!course) query.set("kind", kind);
  return get(`v1/patients/${part(patient)}/history${course}?${query}`);
}

/** The twin's estimate in hindsight, gaps included: columns of its mean and the edges of its band, 2 sd away. */
export async function smoothed(patient, name, start, end, points) {
  const { time, mean, sd } = await read(patient, name, start, end, points, { course: "/smoothed" });
  const edge = (side) => mean.map((m, i) => m + side * 2 * sd[i]);
  return { time: time.map(millis), mean, low: edge(-1), high: edge(1) };
}

/** The forecasts made `minutes` before each moment from `start` on: columns of the median and the edges of the band. */
export async function pastForecasts(patient, name, start, minutes, points) {
  const ahead = minutes * 60000;
  const answer = await read(patient, name, start - ahead, clock.now() + 1000, points, { kind: "forecasts" });
  const rows = answer.forecast.map((row) => row[answer.horizons_min.indexOf(minutes)]);
  const kept = rows.map((row) => row.every(Number.isFinite));
  const [low, mid, high] = [0.05, 0.5, 0.95].map((quantile) => {
    const place = answer.quantiles.indexOf(quantile);
    return rows.map((row) => row[place]).filter((_, i) => kept[i]);
  });
  return { time: answer.time.map((at) => millis(at) + ahead).filter((_, i) => kept[i]), low, mid, high };
}

/** The traces of the patients on screen. The history is requested only for visible tiles, a few at a time. */
export class Traces {
  #traces = new Map();
  #waiting = [];
  #running = 0;
  #pauses = 0;
  #until = 0;

  constructor(arrived) {
    this.arrived = arrived;
  }

  /** Whether the last request for the history failed. */
  get missing() {
    return this.#pauses > 0;
  }

  of(patient, name) {
    const key = `${patient}|${name}`;
    let trace = this.#traces.get(key);
    if (!trace) this.#traces.set(key, trace = new Trace(span(name).back));
    return trace;
  }

  take(patient, signals) {
    for (const [name, { t, v }] of Object.entries(signals ?? {})) {
      if (!["vital", "glucose"].includes(signal(name).kind)) continue;
      const trace = this.of(patient, name);
      if (trace.wentBack(t)) this.#reload(patient, name, trace);
      if (Number.isFinite(v) && !isImplausible(name, { v })) trace.add(t, v);
    }
  }

  /** A patient has left: forget all of their readings. */
  drop(patient) {
    for (const key of this.#traces.keys()) if (key.startsWith(`${patient}|`)) this.#traces.delete(key);
  }

  #reload(patient, name, trace) {
    const shown = trace.filled;
    trace.clear();
    if (shown) this.fill(patient, name);
  }

  fill(patient, name) {
    const trace = this.of(patient, name);
    if (trace.filled || performance.now() < this.#until) return;
    trace.filled = true;
    this.#waiting.push({ patient, name, trace });
    this.#work();
  }

  /** Readings were missed: request again what is shown. */
  reopen() {
    for (const trace of this.#traces.values()) trace.filled = false;
    this.#until = 0;
  }

  /** One failure stands for all: the waiting requests would fail as well. */
  #failed(trace, status) {
    trace.filled = false;
    // The failure concerns this patient or signal only: request the others, but not this one again.
    if (status >= 400 && status < 500 && status !== 429) {
      trace.filled = true;
      return;
    }
    for (const waiting of this.#waiting.splice(0)) waiting.trace.filled = false;
    if (performance.now() < this.#until) return;
    this.#until = performance.now() + Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#pauses);
    this.#pauses += 1;
  }

  async #work() {
    while (this.#running < AT_ONCE && this.#waiting.length) {
      const { patient, name, trace } = this.#waiting.shift();
      this.#running += 1;
      const end = clock.now();
      read(patient, name, end - trace.back, end + 1000, POINTS)
        .then((answer) => {
          trace.prepend(columns(answer));
          this.#pauses = 0;
          this.arrived(patient);
        })
        .catch((refusal) => {
          this.#failed(trace, refusal.status);
          this.arrived(patient);
        })
        .finally(() => {
          this.#running -= 1;
          this.#work();
        });
    }
  }
}
