/* The wording of an alarm, a score and a signal's state, one line each, shared by all views. */

import { age, limitMeasure, list, measure, number, percent, shortTime, signalName, unit, value } from "../shared/format.js";
import { has, known, locale, t } from "../shared/i18n.js";
import { millis } from "../shared/http.js";
import { isOld, present } from "../patient/reading.js";
import { standing } from "../shared/store.js";

const CONDITIONS = {
  "limit.critical_low": "below", "limit.low": "below", "limit.high": "above", "limit.critical_high": "above",
};

/** The alarm in two or three words: "Oxygen saturation low". */
export function alarmName(alarm) {
  if (alarm.condition.startsWith("rule.")) return ruleText(alarm) || t("alarm.rule", { rule: alarm.condition.slice("rule.".length) });
  const key = `alarm.${alarm.condition}`;
  const signal = signalName(alarm.signal);
  return has(key) ? t(key, { signal }) : t("alarm.other", { condition: alarm.condition, signal });
}

/** The text that the site has given a rule, in the language of the page, else in English, else in any language. */
function ruleText({ text = {} }) {
  const language = locale().slice(0, 2);
  return text[language] ?? text.en ?? Object.values(text)[0] ?? "";
}

/** A rule's terms that are true, with their values: "Oxygen saturation 88 % (< 92 %)". */
export function ruleTerms({ rule }) {
  return (rule?.terms ?? []).filter((term) => term.true).map((term) => {
    const [base, aspect = ""] = term.name.split(".");
    const name = term.signal ? signalName(term.signal) : aspect && aspect !== "rise" ? `NEWS2, ${inputName(aspect)}` : "NEWS2";
    const named = has(`rule.aspect.${aspect}`) ? t(`rule.aspect.${aspect}`, { signal: name }) : name;
    const size = (amount) => (aspect === "trend" ? `${amount < 0 ? "−" : ""}${rateOf(base, amount)}`
      : aspect === "quality" ? percent(amount) : term.signal ? measure(base, amount) : number(amount));
    return `${named} ${size(term.value)} (${term.compare}\u00a0${size(term.bound)})`;
  });
}

/** The patient's bed and label, as {bed, label}. A label that begins with the bed ("Bed 3 · Ward round") loses that part. */
export function who(id, { bed = "", label = "" } = {}) {
  if (!bed) return { bed: "", label: label || id };
  const start = label.toLowerCase().startsWith(`bed ${bed}`.toLowerCase()) ? `bed ${bed}`.length : 0;
  const rest = start && /^\w/.test(label.slice(start)) ? label : label.slice(start).replace(start ? /^[\s·:,–-]+/ : "", "");
  return { bed: t("tile.bed", { bed }), label: rest };
}

/** The same in one line: "Bed 3 · Ward round". */
export function whoLine(id, entry) {
  const { bed, label } = who(id, entry);
  return [bed, label].filter(Boolean).join(" · ");
}

export const priorityName = (priority) => known(`priority.${priority}`, priority);

export function presenceName(alarm) {
  if (alarm.presence === "acknowledged" && alarm.by) return t("presence.acknowledged_by", { by: alarm.by });
  return known(`presence.${alarm.presence}`, alarm.presence);
}

/** Whom a step of the escalation calls: "who is on call (doctor)", "clinicians", "ada". */
function targetName(target) {
  const [kind, name] = [target.slice(0, target.indexOf(":")), target.slice(target.indexOf(":") + 1)];
  if (kind === "role") return t("escalation.role", { role: known(`role.${name}`, name) });
  return kind === "schedule" ? t("escalation.schedule", { name }) : kind === "person" ? name : target;
}

/** Who was called because nobody answered, and who is called next: "called ada at 12:04 · calls bob at 12:09". */
export function calls(alarm) {
  const parts = [];
  if (alarm.presence !== "off" && alarm.step && alarm.called_at) {
    const called = list(alarm.called.map(targetName));
    parts.push(called ? t("escalation.called", { names: called, time: shortTime(millis(alarm.called_at)) })
      : t("escalation.nobody", { time: shortTime(millis(alarm.called_at)) }));
  }
  if (alarm.escalates_at) parts.push(t("escalation.calls", { names: list(alarm.escalates_to.map(targetName)), time: shortTime(millis(alarm.escalates_at)) }));
  else if (alarm.event === "exhausted") parts.push(t("escalation.exhausted"));
  return parts.join(" · ");
}

/** The value at the alarm's onset. An alarm stored by an earlier version has none: then the newest reading behind it. */
const began = (alarm) => alarm.onset_value ?? alarm.explanation?.observations?.at(-1)?.[1] ?? alarm.value;

/** The alarm's worst value so far. */
const farthest = (alarm) => alarm.extreme ?? began(alarm);

/** The text for a condition that has ended: "was 34 at 03:12, ended". */
export function ended(alarm) {
  const was = alarm.condition in CONDITIONS ? value(alarm.signal, farthest(alarm)) : "";
  return was ? t("tile.was", { value: was, time: shortTime(alarm.onset) }) : t("tile.was_plain", { alarm: alarmName(alarm), time: shortTime(alarm.onset) });
}

/**
 * The reason in one line, with the present value: "88 % is below 90 %", "84 % at onset, now 55 %; limit 90 %". `entry` is
 * the patient's current entry; without it the line describes the onset.
 */
export function why(alarm, entry, now) {
  const { condition, signal, explanation = {} } = alarm;
  const limit = alarm.limit ?? explanation.limit?.bound;
  if (condition in CONDITIONS) return whyLimit(alarm, limit, entry?.signals?.[signal], now);
  if (condition.startsWith("predicted.")) return whyPredicted(alarm, limit, now);
  if (condition === "sensor.fault") return whyFault(explanation.fault ?? {}, standing(alarm) ? (now - alarm.onset) / 1000 : 0);
  if (condition === "sensor.disagreement") return whyDisagreement(explanation.disagreement ?? {}, standing(alarm) ? entry : null);
  if (condition === "sensor.clock" && explanation.clock) {
    return t(`why.clock.${explanation.clock.side}`, { age: age(explanation.clock.apart_s) });
  }
  if (condition === "sensor.silent") return whySilent(alarm, entry?.signals?.[signal], now);
  if (condition.startsWith("rule.")) return list(ruleTerms(explanation));
  if (condition.startsWith("rate.") && explanation.rate) {
    return t(`why.${condition}`, { rate: rateOf(signal, explanation.rate.per_min), limit: rateOf(signal, explanation.rate.limit_per_min) });
  }
  if (condition === "sensor.quality" && explanation.quality) return t("why.sensor.quality", { quality: percent(explanation.quality.quality) });
  if (condition === "device.battery" && explanation.battery) return t("why.device.battery", { percent: percent(explanation.battery.percent / 100) });
  if (condition === "device.unheard" && explanation.unheard) return t("why.device.unheard", { age: age(explanation.unheard.waited_s + (standing(alarm) ? (now - alarm.onset) / 1000 : 0)) });
  if (condition.startsWith("news2.")) return whyNews2(alarm, entry?.news2);
  return "";
}

/** A rate of change: "12 /min a minute". */
export function rateOf(signal, amount) {
  return t("rate.a_minute", { value: `${number(Math.abs(amount), Math.abs(amount) < 1 ? 2 : 1)}\u00a0${unit(signal)}`.trim() });
}

function whyLimit(alarm, limit, reading, now) {
  const { condition, signal } = alarm;
  const side = CONDITIONS[condition];
  const newest = reading ? present(signal, reading) : NaN;
  const fresh = reading && !isOld(signal, reading, now) ? newest : NaN;
  const texts = {
    value: limitMeasure(signal, began(alarm)), now: limitMeasure(signal, fresh), limit: limitMeasure(signal, limit),
    time: shortTime(alarm.onset), far: limitMeasure(signal, farthest(alarm)),
  };
  if (!standing(alarm)) {
    const known = Number.isFinite(fresh) && alarm.presence !== "off";
    if (side === "below") return known ? t("why.was_below_now", texts) : t("why.was_below", texts);
    return known ? t("why.was_above_now", texts) : t("why.was_above", texts);
  }
  if (Number.isFinite(fresh) && texts.now !== texts.value) return side === "below" ? t("why.now_below", texts) : t("why.now_above", texts);
  const last = { ...texts, last: limitMeasure(signal, newest), age: reading ? age((now - reading.t) / 1000) : "" };
  if (!Number.isFinite(fresh) && Number.isFinite(newest) && last.last !== texts.value) {
    return side === "below" ? t("why.last_below", last) : t("why.last_above", last);
  }
  return side === "below" ? t("why.below", texts) : t("why.above", texts);
}

/** How long nothing has arrived up to now (not up to the onset). */
function whySilent(alarm, reading, now) {
  const atOnset = alarm.explanation?.silent_s;
  const silent = standing(alarm) && Number.isFinite(reading?.t) && reading.s === "silent" ? (now - reading.t) / 1000 : atOnset;
  return Number.isFinite(silent) ? t("why.silent", { age: age(silent) }) : t("why.silent_plain");
}

function whyFault({ reason, flat_s: flat }, since) {
  const key = `why.fault.${reason}`;
  return has(key) ? t(key, { age: age(flat + since) }) : t("why.fault");
}

function whyDisagreement({ sources = [] }, entry) {
  const [first, second] = sources;
  if (!second) return "";
  const mean = ({ signal, mean: then }) => measure(signal, entry?.signals?.[signal]?.m ?? then);
  return t("why.disagreement", {
    first: signalName(first.signal), first_value: mean(first), second: signalName(second.signal), second_value: mean(second),
  });
}

/** How often in ten times a chance comes true: "6 of 10". */
export const timesInTen = (chance) => t("chance.of_ten", { times: number(Math.min(Math.max(Math.round(10 * chance), 1), 9)) });

/** A forecast chance is valid for its moment. After a minute the line also shows its time. */
function whyPredicted({ condition, signal, onset, explanation = {} }, limit, now) {
  const { probability, kind, horizon_min: minutes } = explanation.forecast ?? {};
  const bound = limitMeasure(signal, limit);
  if (!Number.isFinite(probability)) return t("why.predicted_plain", { limit: bound });
  const texts = { percent: percent(probability), limit: bound, minutes: number(minutes) };
  const said = kind === "next_reading"
    ? condition === "predicted.low" ? t("why.next_low", texts) : t("why.next_high", texts)
    : condition === "predicted.low" ? t("why.predicted_low", texts) : t("why.predicted_high", texts);
  return now - onset < 60000 ? said : t("why.predicted_at", { time: shortTime(onset), said });
}

export const inputName = (name) => known(`news2.input.${name}`, signalName(name));
export const inputShort = (name) => known(`news2.short.${name}`, inputName(name));

/** The points of a NEWS2 explanation, whether bare or inside `parts`. */
export function newsParts(explanation) {
  const parts = explanation?.news2?.parts ?? explanation?.news2 ?? {};
  return Object.entries(parts).filter(([, points]) => typeof points === "number").sort((a, b) => b[1] - a[1]);
}

function whyNews2(alarm, score) {
  const present = standing(alarm) && score;
  const most = (present ? newsParts({ news2: score }) : newsParts(alarm.explanation)).filter(([, points]) => points > 0).slice(0, 2)
    .map(([name]) => inputShort(name));
  const then = alarm.onset_value ?? alarm.explanation?.news2?.score ?? alarm.value;
  const moved = score && score.score !== then;
  const texts = { value: number(then), now: number(score?.score), time: shortTime(alarm.onset) };
  const said = !standing(alarm) ? (moved ? t("why.news2_was_now", texts) : t("why.news2_was", texts))
    : moved ? t("why.news2_now", texts) : t("why.news2_plain", texts);
  return most.length ? `${said}. ${t("why.news2_parts", { inputs: list(most) })}` : said;
}

/** The missing inputs of a partial score: "consciousness, BP missing". Empty for a complete score. */
export function lacking({ missing = [], stale = [] }) {
  const short = (names) => names.map(inputShort).join(", ");
  const parts = [];
  if (missing.length) parts.push(t("news2.missing", { inputs: short(missing) }));
  if (stale.length) parts.push(t("news2.stale", { inputs: short(stale) }));
  return parts.join("; ");
}
