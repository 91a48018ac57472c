/* The state of a signal's newest reading: fresh, old, or not plausible for a patient. */

import { signal } from "../shared/signals.js";

/** A reading is old when the twin reports the signal as silent, or when it is older than the signal's silence time. No reading is not old. */
export function isOld(name, reading, now) {
  if (reading.s === "silent" || reading.t === null) return reading.s === "silent";
  return now - reading.t > 1000 * Math.max(signal(name).silence_s ?? 60, 60) * 1.5;
}

/** Whether the newest reading is outside the range of a living body and a working sensor: an error code, a loose probe. */
export function isImplausible(name, { v }) {
  const [low, high] = signal(name).plausible ?? [];
  return Number.isFinite(v) && Number.isFinite(low) && Number.isFinite(high) && (v < low || v > high);
}

/** The newest reading as {value, time} if it is not plausible, else null. The reading before it stays the patient's value. */
export function rejected(name, reading) {
  if (reading.rejected) return { time: reading.rejected[0], value: reading.rejected[1] };
  return isImplausible(name, reading) ? { time: reading.t, value: reading.v } : null;
}

/** The number to show as the patient's present value: the reading, or the estimate if there is none; NaN if there is neither. */
export function present(name, reading) {
  if (isImplausible(name, reading)) return NaN;
  return Number.isFinite(reading.v) ? reading.v : reading.m ?? NaN;
}
