/*
 * Active alarms of one cause as one entry, as `GET /v1/alarms?grouped=true` groups them (twins/alarms/causes.py): a ward
 * in which many patients fell silent together is one entry, not one for each patient. Nothing is left out: an entry has all
 * its alarms.
 */

import { calling, episode } from "../shared/store.js";

const TOGETHER_MS = 60000;
const SPAN_MS = 300000;
const LEAST = 3;
const MANY = 10;

/** When the last reading came before a channel fell silent. */
const lastHeard = (alarm) => alarm.onset - 1000 * (alarm.explanation?.silent_s ?? 0);

/** The alarms in groups whose last readings came at about the same time. */
function together(alarms) {
  const groups = [];
  let first = 0;
  let last = 0;
  for (const alarm of [...alarms].sort((a, b) => lastHeard(a) - lastHeard(b))) {
    const heard = lastHeard(alarm);
    if (!groups.length || heard - last > TOGETHER_MS || heard - first > SPAN_MS) {
      groups.push([]);
      first = heard;
    }
    groups.at(-1).push(alarm);
    last = heard;
  }
  return groups;
}

/**
 * The entries for a list of active alarms, which is in order of urgency, and the patients followed. An entry of a silent
 * ward has `ward`, `alarms`, `patients`, `of` and `since`; every other entry is an alarm itself.
 */
export function causes(active, entries) {
  const silent = new Map();
  const leads = new Map(active.map((alarm) => [episode(alarm), alarm]));
  const place = (alarm) => entries.get(alarm.patient)?.ward ?? alarm.ward ?? "";
  for (const alarm of active) {
    if (alarm.condition !== "sensor.silent" || leads.has(alarm.under)) continue;
    const ward = place(alarm);
    if (!silent.has(ward)) silent.set(ward, []);
    silent.get(ward).push(alarm);
  }
  const found = new Map();
  const sizes = new Map();
  if (silent.size) for (const { ward = "" } of entries.values()) sizes.set(ward, (sizes.get(ward) ?? 0) + 1);
  for (const [ward, alarms] of silent) {
    for (const group of together(alarms)) {
      const patients = new Set(group.map(({ patient }) => patient)).size;
      if (patients < MANY && (patients < LEAST || 2 * patients < sizes.get(ward))) continue;
      const entry = { ward, alarms: [], patients, of: sizes.get(ward) ?? patients, since: lastHeard(group[0]) };
      for (const alarm of group) found.set(episode(alarm), entry);
    }
  }
  const order = [];
  for (const alarm of active) {
    const entry = found.get(episode(alarm)) ?? found.get(alarm.under);
    if (!entry) order.push(alarm);
    else if (entry.alarms.push(alarm) === 1) order.push(entry);
  }
  return order;
}

/** Whether an entry is a silent ward. */
export const isCause = (entry) => "alarms" in entry;

/** The identity of an entry: it stays while alarms join and leave it. */
export const causeId = (entry) => `silent|${entry.ward}|${Math.round(entry.since / SPAN_MS)}`;

/** The alarms of an entry that nobody has acknowledged. */
export const unanswered = (entry) => entry.alarms.filter(calling);
