/* The service's own health as sentences: if readings are not recorded or not evaluated, the page must not look calm. */

import { age } from "./format.js";
import { has, t } from "./i18n.js";

/* Estimates older than this are not current: alarms come late or not at all. */
const OLD_S = 10;
const SLOW_S = 5;
/* If the clocks differ by more than this, the times shown are wrong by the wall clock. */
const APART_S = 5;

/** The faults in a service's health, most serious first: {serious, code, text}. `speed` is the intended speed of its clock. */
export function faults(health, speed = 1) {
  if (!health) return [];
  const { writes = "", twins = "ok", lag_s: lag = 0, estimate_age_s: old = 0, clock_apart_s: apart = 0 } = health;
  const found = [];
  if (writes) found.push(fault(true, "writes", has(`health.writes.${writes}`) ? t(`health.writes.${writes}`) : t("health.writes", { reason: writes })));
  if (twins !== "ok" && twins) found.push(fault(true, "twins", has(`health.twins.${twins}`) ? t(`health.twins.${twins}`) : t("health.twins", { reason: twins })));
  // The delay is in seconds of the service's clock: a faster clock counts more of them for the same real delay.
  const late = Math.max(lag ?? 0, old ?? 0) / Math.max(1, speed);
  if (late > SLOW_S && twins !== "stopped" && twins !== "warming") {
    const texts = { age: age(late) };
    found.push(late > OLD_S ? fault(true, "late", t("health.late", texts)) : fault(false, "slow", t("health.slow", texts)));
  }
  if (speed === 1 && Math.abs(apart) > APART_S) {
    const texts = { age: age(Math.abs(apart)) };
    found.push(fault(false, "clock", apart > 0 ? t("health.clock_ahead", texts) : t("health.clock_behind", texts)));
  }
  return found;
}

const fault = (serious, code, text) => ({ serious, code, text });
