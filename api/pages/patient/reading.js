/* What a signal's newest reading is worth at this moment: fresh, old, or none that can be the patient's. */

import { signal } from "../shared/signals.js";

/** A reading counts as old when the twin says silent, or when it is older than the signal's silence allows; none is not old. */
export function isOld(name, reading, now) {
  if (reading.s === "silent" || reading.t === null) return reading.s === "silent";
  return now - reading.t > 1000 * Math.max(signal(name).silence_s ?? 60, 60) * 1.5;
}

/** Whether the newest reading lies outside what a living body and a working sensor give: an error code, a loose probe. */
export function isImplausible(name, { v }) {
  const [low, high] = signal(name).plausible ?? [];
  return Number.isFinite(v) && Number.isFinite(low) && Number.isFinite(high) && (v < low || v > high);
}

/** The newest reading as {value, time} where it cannot be the patient's; null where it may. What came before it stays the value. */
export function rejected(name, reading) {
  if (reading.rejected) return { time: reading.rejected[0], value: reading.rejected[1] };
  return isImplausible(name, reading) ? { time: reading.t, value: reading.v } : null;
}

/** The number to show as the patient's present value: the reading, the estimate where there is none; NaN where neither may be. */
export function present(name, reading) {
  if (isImplausible(name, reading)) return NaN;
  return Number.isFinite(reading.v) ? reading.v : reading.m ?? NaN;
}
