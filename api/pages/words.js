/* What an alarm, a score and a signal's state are called, in one line each: the words shared by all views. */

import { age, alarmValue, list, measure, number, percent, signalName } from "./format.js";
import { has, known, t } from "./i18n.js";

const CONDITIONS = {
  "limit.critical_low": "below", "limit.low": "below", "limit.high": "above", "limit.critical_high": "above",
};

/** The alarm in two or three words: "Oxygen saturation low". */
export function alarmName(alarm) {
  const key = `alarm.${alarm.condition}`;
  const signal = signalName(alarm.signal);
  return has(key) ? t(key, { signal }) : t("alarm.other", { condition: alarm.condition, signal });
}

/** Who lies where, as {bed, label}: a label that begins with its own bed ("Bed 3 · Ward round") loses that part. */
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

/** Why, in one line: "88 % is below 90 %". */
export function why(alarm) {
  const { condition, signal, explanation = {} } = alarm;
  const limit = alarm.limit ?? explanation.limit?.bound;
  if (condition in CONDITIONS) {
    const texts = { value: alarmValue(signal, alarm.value), limit: measure(signal, limit) };
    // Once it is over, the value is the one that ended it.
    const over = alarm.presence === "latched" || alarm.presence === "off";
    if (CONDITIONS[condition] === "below") return over ? t("why.was_below", texts) : t("why.below", texts);
    return over ? t("why.was_above", texts) : t("why.above", texts);
  }
  if (condition.startsWith("predicted.")) return whyPredicted(alarm, limit);
  if (condition === "sensor.fault") return whyFault(explanation.fault ?? {});
  if (condition === "sensor.disagreement") return whyDisagreement(explanation.disagreement ?? {});
  if (condition === "sensor.clock" && explanation.clock) {
    return t(`why.clock.${explanation.clock.side}`, { age: age(explanation.clock.apart_s) });
  }
  if (condition === "sensor.silent") {
    return explanation.silent_s ? t("why.silent", { age: age(explanation.silent_s) }) : t("why.silent_plain");
  }
  if (condition.startsWith("news2.")) return whyNews2(alarm);
  return "";
}

function whyFault({ reason, flat_s: flat }) {
  const key = `why.fault.${reason}`;
  return has(key) ? t(key, { age: age(flat) }) : t("why.fault");
}

function whyDisagreement({ sources = [] }) {
  const [first, second] = sources;
  if (!second) return "";
  return t("why.disagreement", {
    first: signalName(first.signal), first_value: measure(first.signal, first.mean),
    second: signalName(second.signal), second_value: measure(second.signal, second.mean),
  });
}

function whyPredicted({ condition, signal, explanation = {} }, limit) {
  const { probability, horizon_min: minutes } = explanation.forecast ?? {};
  const bound = measure(signal, limit);
  if (!Number.isFinite(probability)) return t("why.predicted_plain", { limit: bound });
  const texts = { percent: percent(probability), limit: bound, minutes: number(minutes) };
  return condition === "predicted.low" ? t("why.predicted_low", texts) : t("why.predicted_high", texts);
}

export const inputName = (name) => known(`news2.input.${name}`, signalName(name));

/** The points of a NEWS2 explanation, whether bare or inside `parts`. */
export function newsParts(explanation) {
  const parts = explanation?.news2?.parts ?? explanation?.news2 ?? {};
  return Object.entries(parts).filter(([, points]) => typeof points === "number").sort((a, b) => b[1] - a[1]);
}

function whyNews2({ value, explanation }) {
  const most = newsParts(explanation).filter(([, points]) => points > 0).slice(0, 2)
    .map(([name]) => known(`news2.short.${name}`, inputName(name)));
  const score = t("why.news2_plain", { value: number(value) });
  return most.length ? `${score}. ${t("why.news2_parts", { inputs: list(most) })}` : score;
}

/** What a partial score lacks, in few words: "consciousness, BP missing"; empty for a whole one. */
export function lacking({ missing = [], stale = [] }) {
  const short = (names) => names.map((name) => known(`news2.short.${name}`, inputName(name))).join(", ");
  const parts = [];
  if (missing.length) parts.push(t("news2.missing", { inputs: short(missing) }));
  if (stale.length) parts.push(t("news2.stale", { inputs: short(stale) }));
  return parts.join("; ");
}
