/*
 * The state received from the service: the entries of the patients followed, their alarms, and every alarm
 * transition seen. State is merged (the latest wins). Each transition is stored once, in order.
 *
 * Events: "entries" (detail: ids changed, or null for all), "alarms", "transition" (detail: the alarm), "digest" (detail:
 * counts of many events that were not sent one by one), and "gap" when the service could not replay what was missed: the
 * history then has to be loaded.
 */

import { millis } from "./http.js";

const RECENT = 500;
const DIGESTS = 20;
const REMEMBERED = 4 * RECENT;
const RANK = { high: 0, medium: 1, low: 2 };

export const episode = (alarm) => alarm.alarm ?? alarm.id;
const change = (alarm) => `${episode(alarm)}|${alarm.number ?? ""}|${alarm.presence}|${alarm.priority}|${alarm.time}`;
/* Transitions of one episode are ordered by their number: their times may be equal. */
const isLater = (a, b) => (a.number && b.number ? a.number > b.number : a.time > b.time);

/**
 * Most urgent first: by priority, acknowledged or not; at equal priority first the unacknowledged, then those whose
 * condition still holds, then the newest. An acknowledgement silences an alarm but does not make it less urgent.
 */
export function byUrgency(a, b) {
  return RANK[a.priority] - RANK[b.priority] || Number(calling(b)) - Number(calling(a))
    || Number(standing(b)) - Number(standing(a)) || b.onset - a.onset;
}

/**
 * Whether this alarm is unacknowledged: then it sounds and flashes, if no pause silences it. An alarm recorded after the fact
 * never does, nor one that is shown under another: that one calls.
 */
export const calling = (alarm) => !alarm.past && !alarm.under && (alarm.presence === "on" || alarm.presence === "latched");

/** Whether it sounds now: nobody has paused it. */
export const sounding = (alarm) => calling(alarm) && ["on", "latched"].includes(alarm.signals?.audible ?? "on");

/** Whether it flashes now. */
export const flashing = (alarm) => calling(alarm) && (alarm.signals?.visible ?? "on") !== "paused";

const TIMES = ["onset", "time", "ended", "audio_paused_until", "paused_until", "reminds_at", "escalates_at", "called_at"];

/** Whether the condition holds now. The condition of a latched alarm is over; the alarm waits to be acknowledged. */
export const standing = (alarm) => alarm.standing ?? (alarm.presence === "on" || alarm.presence === "acknowledged");

export class Store extends EventTarget {
  entries = new Map();
  transitions = [];
  digests = [];
  loaded = false;
  #active = null;
  #seen = new Set();

  /** Start again for another channel: forget the former one with its events. */
  clear() {
    this.entries.clear();
    this.transitions = [];
    this.digests = [];
    this.#seen.clear();
    this.loaded = false;
    this.#emit("entries", null);
    this.#emit("alarms");
  }

  /** A stay is over: its transitions do not belong to the next stay under this id. */
  forget(patient) {
    this.transitions = this.transitions.filter((alarm) => alarm.patient !== patient);
    this.#emit("alarms");
  }

  take(message) {
    if (message.type === "snapshot") this.#snapshot(message);
    else if (message.type === "delta") this.#delta(message);
    else if (message.type === "alarm") this.transition(message.alarm, true);
    else if (message.type === "digest") this.#digest(message);
  }

  #snapshot({ entries, epoch, recovered }) {
    this.entries = new Map(Object.entries(entries));
    for (const entry of this.entries.values()) {
      entry.signals ??= {};
      entry.alarms ??= [];
    }
    if (this.loaded && !recovered) this.#emit("gap");
    this.loaded = true;
    this.#emit("entries", null);
    this.#emit("alarms");
  }

  #delta({ set = {}, del = [] }) {
    let alarms = del.length > 0;
    for (const id of del) this.entries.delete(id);
    for (const [id, part] of Object.entries(set)) {
      const entry = this.entries.get(id) ?? { label: id, signals: {}, alarms: [] };
      const signals = { ...entry.signals, ...part.signals };
      alarms ||= "alarms" in part || !this.entries.has(id);
      this.entries.set(id, { ...entry, ...part, signals });
    }
    if (alarms) this.#active = null;
    this.#emit("entries", del.length ? null : Object.keys(set));
    if (alarms) this.#emit("alarms");
  }

  /** Many events at once, counted by the service. The alarms themselves come with the entries. */
  #digest(message) {
    this.digests.push(message);
    if (this.digests.length > DIGESTS) this.digests.shift();
    this.#emit("alarms");
    this.#emit("digest", message);
  }

  /** Take one transition; known ones are ignored. `live` ones are announced. */
  transition(alarm, live) {
    for (const field of TIMES) if (alarm[field]) alarm[field] = millis(alarm[field]);
    if (this.#seen.has(change(alarm))) return;
    this.#seen.add(change(alarm));
    this.transitions.push(alarm);
    this.#bound();
    if (!live) return;
    this.#apply(alarm);
    this.#emit("alarms");
    this.#emit("transition", alarm);
  }

  /** Insert transitions from the history before the live ones. */
  backfill(alarms) {
    // Sort oldest first: only the newest are kept.
    for (const alarm of alarms) for (const field of TIMES) if (alarm[field]) alarm[field] = millis(alarm[field]);
    for (const alarm of [...alarms].sort((a, b) => a.time - b.time)) this.transition(alarm, false);
    this.transitions.sort((a, b) => a.time - b.time || (episode(a) === episode(b) ? (a.number ?? 0) - (b.number ?? 0) : 0));
    this.#bound();
    this.#emit("alarms");
  }

  /** Keep the newest transitions. Their keys are remembered for longer, so that none is shown twice. */
  #bound() {
    if (this.transitions.length > RECENT) this.transitions.splice(0, this.transitions.length - RECENT);
    for (const old of this.#seen) {
      if (this.#seen.size <= REMEMBERED) break;
      this.#seen.delete(old);
    }
  }

  /** A transition also changes the entry's list of active alarms, so that no screen waits for the next delta. */
  #apply(alarm) {
    const entry = this.entries.get(alarm.patient);
    if (!entry) return;
    const present = entry.alarms.find((one) => episode(one) === episode(alarm));
    if (present && isLater(present, alarm)) return;
    const others = entry.alarms.filter((one) => one !== present);
    const alarms = alarm.presence === "off" ? others : [...others, alarm];
    this.entries.set(alarm.patient, { ...entry, alarms });
    this.#active = null;
    this.#emit("entries", [alarm.patient]);
  }

  /** The active alarms of all patients followed, most urgent first. */
  active() {
    // Several parts of the page ask after each change: thousands of alarms are sorted once.
    this.#active ??= [...this.entries.values()].flatMap((entry) => entry.alarms).sort(byUrgency);
    return this.#active;
  }

  /** The highest priority of the active alarms that meet a condition; null if none does. It sorts nothing. */
  foremost(wanted) {
    let found = null;
    for (const { alarms } of this.entries.values()) {
      for (const alarm of alarms) {
        if ((found === null || RANK[alarm.priority] < RANK[found]) && wanted(alarm)) found = alarm.priority;
      }
      if (found === "high") break;
    }
    return found;
  }

  label(patient) {
    return this.entries.get(patient)?.label || patient;
  }

  #emit(name, detail) {
    if (name === "alarms" || detail === null) this.#active = null;
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
