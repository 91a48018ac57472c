/* What silences an alarm, and for how long: pauses, alarms shown under others, reminders, who takes care of it. */

import * as clock from "../shared/clock.js";
import { number, shortTime } from "../shared/format.js";
import { has, t } from "../shared/i18n.js";
import { episode } from "../shared/store.js";

export const KINDS = ["alarm", "audio"];

/** A remaining time as minutes and seconds: "1:05". */
export function countdown(until, now = clock.now()) {
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** The pauses of a patient in force: [[kind, pause], …]; the one that hides more comes first. */
export const pauses = (entry) => KINDS.map((kind) => [kind, entry?.[`${kind}_pause`]]).filter(([, pause]) => pause);

/** "Alarms paused 1:32"; empty if they are not. */
export function pauseText(entry, now = clock.now()) {
  return pauses(entry).map(([kind, { until }]) => t(`pause.${kind}_for`, { time: countdown(until, now) })).join(" · ");
}

/** Who paused and why, for one pause: "ada (ward): fire drill". */
export function pausedBy({ by, reason, scope }) {
  return [scope === "ward" ? t("pause.by_ward", { by }) : by, reason].filter(Boolean).join(": ");
}

/** What else is to be said of an alarm's state: each part on its own. */
export function notes(alarm, now = clock.now()) {
  const silenced = alarm.presence === "on" || alarm.presence === "latched";
  return [
    silenced && alarm.paused_until > now && t("pause.alarm_for", { time: countdown(alarm.paused_until, now) }),
    silenced && alarm.audio_paused_until > now && t("pause.audio_for", { time: countdown(alarm.audio_paused_until, now) }),
    alarm.known === false && t("alarms.not_measured"),
    alarm.count > 1 && t("alarms.times", { count: number(alarm.count) }),
    alarm.responder && t("alarms.taken_by", { by: alarm.responder }),
    alarm.presence === "acknowledged" && alarm.reminds_at && t("alarms.reminds", { time: shortTime(alarm.reminds_at) }),
    alarm.event && has(`alarms.event.${alarm.event}`) && alarm.presence === "on" && t(`alarms.event.${alarm.event}`),
  ].filter(Boolean);
}

/** The list with each alarm that is shown under another directly after that one. */
export function nested(list) {
  const leads = new Set(list.map(episode));
  const below = new Map();
  for (const alarm of list) {
    if (!alarm.under || !leads.has(alarm.under)) continue;
    if (!below.has(alarm.under)) below.set(alarm.under, []);
    below.get(alarm.under).push(alarm);
  }
  return list.filter((alarm) => !alarm.under || !leads.has(alarm.under)).flatMap((alarm) => [alarm, ...(below.get(episode(alarm)) ?? [])]);
}

/** The alarms of a patient that are shown under this one. */
export const under = (entry, lead) => (entry?.alarms ?? []).filter((one) => one.under && one.under === episode(lead));
