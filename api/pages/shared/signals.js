/* The service's table of signals, fetched once, and how the ward shows them. */

import { get } from "./http.js";

const table = new Map();
const UNKNOWN = { unit: "", kind: "vital", step: 0.1, limits: {}, silence_s: 600 };

/* The order of a tile's rows: what a nurse looks for first. A pair shares one row. */
const ORDER = [
  "heart_rate", "pulse_rate", "oxygen_saturation", "second_oxygen_saturation", "arterial_oxygen_saturation",
  "respiratory_rate", "systolic_bp", "arterial_systolic_bp", "body_temperature", "glucose", "capillary_glucose",
  "blood_glucose", "mean_bp", "arterial_mean_bp", "skin_temperature", "perfusion_index",
];
export const PAIRS = { systolic_bp: "diastolic_bp", arterial_systolic_bp: "arterial_diastolic_bp" };
export const PAIR_NAMES = { systolic_bp: "short.pressure", arterial_systolic_bp: "short.arterial_pressure" };
/* A second source of a quantity comes last if the first is present: it adds little. */
const AGAIN = { pulse_rate: "heart_rate", second_oxygen_saturation: "oxygen_saturation" };
const SECOND = Object.fromEntries(Object.entries(PAIRS).map(([first, second]) => [second, first]));

export async function load() {
  for (const row of await get("v1/signals")) table.set(row.name, row);
}

/** The horizons of forecasts, in minutes. */
export const horizons = () => [...table.values()].find((row) => row.horizons_min.length)?.horizons_min ?? [];

/** The signals for an input of NEWS2. Of readings at the same time the first signal counts. */
export function sources(input) {
  return [...table.values()].filter((row) => row.news2 === input).sort((a, b) => a.news2_order - b.news2_order).map((row) => row.name);
}

export function signal(name) {
  return table.get(name) ?? UNKNOWN;
}

/** Recorded only (a dose, a setting, a score, a laboratory value): no twin, no forecast and no tile row. */
export function recorded(name) {
  return !["vital", "glucose"].includes(signal(name).kind);
}

/** The signals with forecasts, most important first. */
export function forecastSignals() {
  const names = [...table.values()].filter((row) => row.horizons_min.length).map((row) => row.name);
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : 99);
  return names.sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

/** The rows of a patient's tile, most important first. Diastolic pressure shares the row of systolic. */
export function rows(names) {
  const here = names.filter((name) => !recorded(name) && !(SECOND[name] && names.includes(SECOND[name])));
  const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : 99);
  const rank = (name) => place(name) + (names.includes(AGAIN[name]) ? 100 : 0);
  return here.sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** The row under which a signal is shown (its own, or its pair's first). */
export const rowOf = (name) => SECOND[name] ?? name;

/** The time range of a sparkline in minutes: glucose changes over hours, the others over minutes. */
export function span(name) {
  return signal(name).kind === "glucose" ? { back: 180, ahead: 60 } : { back: 30, ahead: 30 };
}
