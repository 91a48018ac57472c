/* The NEWS2 score in detail: each input's value, points and age. A missing input is shown as missing, never counted as 0. */

import * as clock from "../shared/clock.js";
import { attribute, h, mark, write } from "../shared/dom.js";
import { age, measure, number, time } from "../shared/format.js";
import { known, t } from "../shared/i18n.js";
import { sources } from "../shared/signals.js";
import { isOld } from "./reading.js";
import { Scoring } from "./scoring.js";
import { inputName, lacking } from "../alarms/words.js";

const INPUTS = ["respiratory_rate", "oxygen_saturation", "oxygen", "systolic_bp", "pulse", "consciousness", "temperature"];
/* Of sources measured within this time of each other the first is shown: the score converts the second to its scale. */
const TOGETHER_MS = 10000;

function shown(entry, input) {
  if (input === "consciousness") return entry.consciousness ? known(`consciousness.${entry.consciousness}`, entry.consciousness) : "–";
  if (input === "oxygen") {
    if (entry.oxygen === null || entry.oxygen === undefined) return "–";
    return entry.oxygen > 0 ? measure("oxygen_flow", entry.oxygen) : t("facts.air");
  }
  const here = sources(input).filter((name) => Number.isFinite(entry.signals[name]?.m ?? entry.signals[name]?.v));
  const newest = Math.max(...here.map((name) => entry.signals[name].t));
  const source = here.find((name) => newest - entry.signals[name].t <= TOGETHER_MS);
  return source ? measure(source, entry.signals[source].m ?? entry.signals[source].v) : "–";
}

/**
 * Seconds since the newest reading behind the score when all of its sensors are silent; null while any sensor still
 * sends. Charted values do not keep a score fresh.
 */
export function scoreAge({ news2, signals }, now) {
  if (!news2) return null;
  const here = INPUTS.flatMap(sources).filter((name) => Number.isFinite(signals[name]?.t));
  if (!here.length || here.some((name) => !isOld(name, signals[name], now))) return null;
  return (now - Math.max(...here.map((name) => signals[name].t))) / 1000;
}

/** Why a patient has no score; empty where there is one. */
export const off = (entry) => (entry.news2_off ? t(`news2.off.${entry.news2_off}`) : "");

/** The inputs whose sensors are silent although their points still count, and their age. */
export function silentInputs({ news2, signals }, now) {
  const gone = (input) => {
    const here = sources(input).filter((name) => Number.isFinite(signals[name]?.t));
    if (!(input in (news2?.parts ?? {})) || !here.length || here.some((name) => !isOld(name, signals[name], now))) return [];
    return [[input, (now - Math.max(...here.map((name) => signals[name].t))) / 1000]];
  };
  return INPUTS.flatMap(gone);
}

/** ", up 3 in 2 h"; empty where the score has not risen. */
const rise = ({ rise: points }) => (points > 0 ? `, ${t("news2.rise", { points: number(points) })}` : "");

export class News2Table {
  constructor(patient, may) {
    this.adult = h("p", { class: "partial-long" });
    this.score = h("p", { class: "big-score" });
    this.silent = h("p", { class: "partial-long" });
    this.partial = h("p", { class: "partial-long" });
    this.rows = h("tbody");
    this.at = h("p", { class: "small" });
    const column = (key) => h("th", { scope: "col" }, t(key));
    this.root = h("section", { class: "box news2", "aria-labelledby": "news2-heading" },
      h("h2", { id: "news2-heading" }, t("news2.title")), this.score, this.silent, this.partial, this.adult,
      h("table", {}, h("thead", {}, h("tr", {}, column("news2.col_input"), column("news2.col_value"),
        column("news2.col_points"), column("news2.col_age"))), this.rows),
      this.at, may && new Scoring(patient).root, h("p", { class: "small" }, t("news2.credit")));
  }

  update(entry) {
    const { news2 } = entry;
    const risk = news2?.risk ?? "unknown";
    const old = scoreAge(entry, clock.now());
    attribute(this.score, "data-risk", risk);
    mark(this.score, "old", old !== null);
    this.score.replaceChildren(...(news2
      ? [h("strong", {}, number(news2.score)), ` ${t("news2.of")} – ${known(`news2.risk.${risk}`, risk)}${rise(news2)}`] : [t("news2.none")]));
    write(this.silent, old === null ? "" : t("news2.old", { age: age(old) }));
    if (off(entry)) this.score.replaceChildren(off(entry));
    write(this.adult, entry.adult_limits ? t("news2.adult_limits") : "");
    this.rows.parentElement.hidden = Boolean(entry.news2_off);
    write(this.partial, off(entry) ? "" : news2?.partial ? t("news2.partial_long", { why: lacking(news2) }) : news2 ? "" : t("news2.none_long"));
    this.rows.replaceChildren(...INPUTS.map((input) => this.#row(entry, input)));
    write(this.at, news2?.at ? t("news2.at", { time: time(news2.at), scale: number(entry.spo2_scale ?? 1) }) : "");
  }

  #row(entry, input) {
    const { parts = {}, missing = [], stale = [], ages_s: ages = {}, at } = entry.news2 ?? {};
    const points = parts[input];
    const lost = missing.includes(input) || !Number.isFinite(points);
    const late = stale.includes(input);
    const since = at ? (clock.now() - at) / 1000 : 0;
    const old = Number.isFinite(ages[input]) ? age(ages[input] + since) : "–";
    const value = lost ? `${shown(entry, input)} (${t("news2.is_missing")})` : shown(entry, input);
    return h("tr", { class: lost ? "missing" : late ? "stale" : "", dataset: { points: lost ? "" : String(points) } },
      h("th", { scope: "row" }, inputName(input)),
      h("td", {}, lost && shown(entry, input) === "–" ? t("news2.is_missing") : value),
      h("td", { class: "points" }, lost ? t("news2.not_counted") : number(points)),
      h("td", {}, late ? `${old} (${t("news2.is_stale")})` : old));
  }
}
