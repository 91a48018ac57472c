/* Numbers, units, times and ages as a person reads them. Times are milliseconds of the service's clock. */

import { known, locale, t } from "./i18n.js";
import { signal } from "./signals.js";

const cache = new Map();

function numbers(digits, style = "decimal") {
  const key = `${style}${digits}`;
  let format = cache.get(key);
  if (!format) {
    format = new Intl.NumberFormat(locale(), { style, minimumFractionDigits: digits, maximumFractionDigits: digits });
    cache.set(key, format);
  }
  return format;
}

function asGiven() {
  if (!cache.has("given")) cache.set("given", new Intl.NumberFormat(locale(), { maximumFractionDigits: 2 }));
  return cache.get("given");
}

function dates(name, options) {
  let format = cache.get(name);
  if (!format) {
    format = new Intl.DateTimeFormat(locale(), options);
    cache.set(name, format);
  }
  return format;
}

export function number(value, digits = 0) {
  return Number.isFinite(value) ? numbers(digits).format(value) : "–";
}

export function percent(share) {
  return Number.isFinite(share) ? numbers(0, "percent").format(share) : "–";
}

/** Decimal places of a reading: given by its quantisation step, at most one. */
export function digits(name) {
  const step = signal(name).step;
  if (!(step > 0) || step >= 1) return 0;
  return Math.min(1, Math.ceil(-Math.log10(step) - 1e-9));
}

/** How many decimals a number has, up to `most`; floating-point noise does not count. */
export function decimals(amount, most = 4) {
  for (let places = 0; places < most; places += 1) {
    const scaled = amount * 10 ** places;
    if (Math.abs(scaled - Math.round(scaled)) < 1e-6 * Math.max(1, Math.abs(scaled))) return places;
  }
  return most;
}

export const unit = (name) => known(`unit.${signal(name).unit}`, signal(name).unit);
export const signalName = (name) => (name ? known(`signal.${name}`, name.replaceAll("_", " ")) : t("alarm.all_signals"));
export const shortName = (name) => known(`short.${name}`, signalName(name));

/** A value with its sensor's decimals. A charted value has no fixed step ("2.5 L/min", "0.6 mmol/L") and is shown as given. */
export function value(name, amount) {
  if (Number.isFinite(amount) && !(signal(name).step > 0)) return asGiven().format(amount);
  return number(amount, digits(name));
}

/** A limit, with the decimals it was set with: 45.5 must not read 46. */
export function limitValue(name, amount) {
  return Number.isFinite(amount) ? number(amount, Math.max(digits(name), decimals(amount, 2))) : number(amount);
}

/** A limit, or a value compared with one, with its unit. */
export function limitMeasure(name, amount) {
  const symbol = unit(name);
  return symbol ? `${limitValue(name, amount)}\u00a0${symbol}` : limitValue(name, amount);
}

/** A value with its unit: "92 %", "120 mmHg", "38.2 °C". */
export function measure(name, amount) {
  const symbol = unit(name);
  return symbol ? `${value(name, amount)}\u00a0${symbol}` : value(name, amount);
}

/** The alarm's value: a signal's, or a NEWS2 score where there is no signal. */
export const alarmValue = (name, amount) => (name ? measure(name, amount) : number(amount));

export const time = (ms) => dates("time", { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(ms);
export const shortTime = (ms) => dates("short", { hour: "2-digit", minute: "2-digit" }).format(ms);
export const day = (ms) => dates("day", { weekday: "short", day: "numeric", month: "short" }).format(ms);

/** The time of day, with the date if it is not today. */
export function moment(ms, now) {
  return day(ms) === day(now) ? time(ms) : `${day(ms)}, ${time(ms)}`;
}

/** A duration: "8 s", "12 min", "3 h 05 min", "2 days". */
export function age(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return t("age.seconds", { count: number(whole) });
  if (whole < 5400) return t("age.minutes", { count: number(Math.round(whole / 60)) });
  if (whole < 172800) {
    const minutes = Math.round(whole / 60);
    return t("age.hours", { hours: number(Math.floor(minutes / 60)), minutes: String(minutes % 60).padStart(2, "0") });
  }
  return t("age.days", { count: number(Math.floor(whole / 86400)), amount: Math.floor(whole / 86400) });
}

/** "a, b and c" in the reader's language. */
export function list(items) {
  return new Intl.ListFormat(locale(), { style: "long", type: "conjunction" }).format(items);
}
