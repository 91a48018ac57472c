/* The full explanation of an alarm, sentence by sentence, from its structured form. */

import * as clock from "../shared/clock.js";
import { age, alarmValue, limitMeasure, list, measure, moment, number, percent, signalName, time, unit } from "../shared/format.js";
import { has, known, t } from "../shared/i18n.js";
import { horizons } from "../shared/signals.js";
import { alarmName, inputName, lacking, newsParts, rateOf, ruleTerms, timesInTen, why } from "./words.js";

const OBSERVATIONS = 5;

/** Everything a person needs to assess the alarm, most important first. */
export function sentences(alarm) {
  const explanation = alarm.explanation ?? {};
  return [
    plain(alarm),
    t("explain.onset", { time: moment(alarm.onset, clock.now()), age: age((clock.now() - alarm.onset) / 1000) }),
    ...rule(explanation),
    ...change(alarm, explanation.rate),
    ...devices(explanation),
    ...silence(explanation),
    ...wrongClock(explanation.clock),
    ...past(alarm, explanation.past),
    ...withdrawn(explanation),
    ...fault(alarm, explanation.fault),
    ...disagreement(explanation.disagreement),
    ...forecast(alarm, explanation.forecast),
    ...news(explanation),
    ...limit(alarm, explanation.limit, alarm.condition.startsWith("predicted.")),
    ...readings(alarm, explanation.observations),
    ...state(alarm, explanation.state),
    ...model(explanation.model),
    ...answered(alarm),
  ];
}

/** What happened, in one sentence: the alarm's name and the reason at its onset. */
function plain(alarm) {
  const said = why(alarm, null, clock.now());
  return said ? t("explain.plain", { alarm: alarmName(alarm), why: said }) : `${alarmName(alarm)}.`;
}

function rule(explanation) {
  const given = explanation.rule;
  if (!given) return [];
  const said = [t("explain.rule", { rule: given.id, list: list(ruleTerms(explanation)) })];
  if (given.for_s > 0) said.push(t("explain.rule_for", { age: age(given.for_s) }));
  if (given.times > 1) said.push(t("explain.rule_times", { times: number(given.times), age: age(given.within_s) }));
  said.push(t("explain.rule_set", { by: given.set_by || "–", time: given.set_at ? moment(given.set_at, clock.now()) : "–", version: given.version }));
  return said;
}

function change({ signal }, given) {
  if (!given) return [];
  const texts = { rate: rateOf(signal, given.per_min), limit: rateOf(signal, given.limit_per_min), age: age(given.window_s), signal: signalName(signal) };
  return [t(`explain.rate.${given.side}`, texts), ...origin(given)];
}

function devices({ quality, battery, unheard }) {
  const said = [];
  if (quality) said.push(t("explain.quality", { quality: percent(quality.quality), below: percent(quality.below) }));
  if (battery) said.push(t("explain.battery", { percent: percent(battery.percent / 100), below: percent(battery.below / 100) }));
  if (unheard) said.push(t("explain.unheard", { time: moment(unheard.since, clock.now()), age: age(unheard.after_s) }));
  return said;
}

/** Where a limit comes from, and who set it when. */
function origin(given) {
  const said = [];
  if (given.band && given.band !== "adult") said.push(t("explain.origin.band", { band: t(`band.${given.band}`), source: given.source }));
  else if (has(`explain.origin.${given.origin}`)) said.push(t(`explain.origin.${given.origin}`));
  if (given.period) said.push(t("explain.origin.period", { period: known(`period.${given.period}`, given.period) }));
  if (given.set_at) said.push(t("explain.origin.set", { by: given.set_by || "–", time: moment(given.set_at, clock.now()) }));
  return said;
}

function silence({ silent_s: silent }) {
  return Number.isFinite(silent) ? [t("explain.silent", { age: age(silent) })] : [];
}

function wrongClock(given) {
  return given ? [t(`explain.clock.${given.side}`, { age: age(given.apart_s) })] : [];
}

function past({ signal, value }, given) {
  if (!given) return [];
  const [from, to] = [given.from, given.to].map((at) => moment(at, clock.now()));
  return [t("explain.past", { from, to, value: measure(signal, value) })];
}

function withdrawn({ withdrawn: reason }) {
  return reason ? [t(`explain.withdrawn.${reason}`)] : [];
}

function fault({ condition }, { reason, flat_s: flat } = {}) {
  if (condition !== "sensor.fault") return [];
  const key = `explain.fault.${reason}`;
  return [has(key) ? t(key, { age: age(flat) }) : t("explain.fault")];
}

function disagreement(given) {
  if (!given?.sources?.length) return [];
  const [{ signal: first }] = given.sources;
  const items = given.sources.map(({ signal, mean }) => (
    t("explain.disagreement_source", { signal: signalName(signal), value: measure(signal, mean) })
  ));
  const [bias, spread, difference, allowed] = [given.bias, given.spread, given.difference, given.allowed]
    .map((size) => `${number(size, Math.abs(size) < 10 ? 1 : 0)}\u00a0${unit(first)}`.trim());
  return [
    t("explain.disagreement", { list: list(items) }),
    t("explain.disagreement_usual", { bias, spread, difference }),
    t("explain.disagreement_allowed", { allowed, delay: age(given.delay_s), signal: signalName(first) }),
  ];
}

function forecast({ signal, limit: bound }, made) {
  if (!made) return [];
  const { probability, kind, horizon_min: minutes, expected_min: expected, quantiles, before } = made;
  const said = [];
  if (Number.isFinite(probability)) {
    const texts = { times: timesInTen(probability), minutes: number(minutes), bound: limitMeasure(signal, bound) };
    said.push(kind === "next_reading" ? t("explain.forecast_next", texts) : t("explain.forecast", texts));
  }
  if (before?.predictions > 0) {
    said.push(t("explain.forecast_before", { count: number(before.predictions), true: number(before.came_true) }));
  }
  if (Number.isFinite(expected)) said.push(t("explain.expected", { minutes: number(Math.max(1, Math.round(expected))) }));
  const ahead = horizons();
  const nearest = ahead.reduce((best, at) => (Math.abs(at - minutes) < Math.abs(best - minutes) ? at : best), Infinity);
  const row = quantiles?.[ahead.indexOf(nearest)];
  if (row?.every(Number.isFinite)) {
    said.push(t("explain.forecast_at", {
      minutes: number(nearest), value: measure(signal, row[3]), low: measure(signal, row[0]), high: measure(signal, row[6]),
    }));
  }
  return said;
}

function news(explanation) {
  const parts = newsParts(explanation);
  if (!parts.length) return [];
  const items = parts.map(([name, points]) => t("explain.news2_part", { input: inputName(name), points: number(points) }));
  const said = [t("explain.news2", { list: list(items) })];
  const { rise, missing = [], stale = [] } = explanation.news2 ?? {};
  if (rise > 0) said.push(t("explain.news2_rise", { points: number(rise) }));
  if (missing.length || stale.length) said.push(t("explain.news2_lacking", { why: lacking({ missing, stale }) }));
  return said;
}

function limit({ signal }, given, ahead) {
  if (!given || !Number.isFinite(given.bound) || !signal) return [];
  const low = given.side === "low";
  const texts = { bound: limitMeasure(signal, given.bound), signal: signalName(signal), delay: age(given.delay_s) };
  const said = [ahead ? t("explain.limit_ahead", texts) : given.delay_s > 0
    ? low ? t("explain.limit_low", texts) : t("explain.limit_high", texts)
    : low ? t("explain.limit_low_now", texts) : t("explain.limit_high_now", texts)];
  if (given.hysteresis > 0 && !ahead) {
    const back = { value: limitMeasure(signal, given.bound + (low ? given.hysteresis : -given.hysteresis)) };
    said.push(low ? t("explain.back_low", back) : t("explain.back_high", back));
  }
  return [...said, ...origin(given)];
}

function readings({ signal }, observations) {
  const last = (observations ?? []).filter(([, value]) => Number.isFinite(value)).slice(-OBSERVATIONS);
  if (!last.length) return [];
  const items = last.map(([at, value]) => t("explain.observation", { value: alarmValue(signal, value), time: time(at) }));
  return [t("explain.observations", { list: list(items) })];
}

/** "rising by 0.6 /min a minute", or "steady" where the change in ten minutes is smaller than the estimate's sd. */
export function trend(signal, { trend_per_min: rate, sd }) {
  if (!Number.isFinite(rate) || Math.abs(rate) * 10 < (sd ?? 0)) return t("explain.trend_flat");
  const size = `${number(Math.abs(rate), Math.abs(rate) < 1 ? 2 : 1)}\u00a0${unit(signal)}`.trim();
  return rate > 0 ? t("explain.trend_up", { rate: size }) : t("explain.trend_down", { rate: size });
}

function state({ signal }, twin) {
  if (!twin || !Number.isFinite(twin.mean) || !signal) return [];
  const value = Number.isFinite(twin.sd)
    ? `${measure(signal, twin.mean)} ± ${number(twin.sd, twin.sd < 10 ? 1 : 0)}` : measure(signal, twin.mean);
  if (!Number.isFinite(twin.quality)) return [t("explain.state_plain", { value })];
  return [t("explain.state", { value, trend: trend(signal, twin), quality: percent(twin.quality) })];
}

function model(made) {
  return made?.name ? [t("explain.model", { name: known(`model.${made.name}`, made.name), version: made.version ?? "–" })] : [];
}

function answered(alarm) {
  if (alarm.presence === "acknowledged") {
    return [t("explain.acknowledged", { by: alarm.by || "–", time: moment(alarm.time, clock.now()) })];
  }
  return alarm.presence === "latched" ? [t("explain.latched", { time: moment(alarm.time, clock.now()) })] : [];
}
