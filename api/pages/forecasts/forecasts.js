/* How good the forecasts are: what was stated about the limits of a signal in a ward, and how often it happened. */

import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { moment, number, percent, signalName } from "../shared/format.js";
import { get, millis, part } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { forecastSignals } from "../shared/signals.js";
import { diagram } from "./diagram.js";

const PERIODS_DAYS = [1, 7, 30, 365];
const DAY_MS = 86400000;
const NOTABLE = { count: 20, stated: 0.1 };
const CLEAR = 0.02;

export const address = (signal, ward, days = "") => (
  `#/forecasts/${part(signal)}/${part(ward)}${days ? `/${days}` : ""}`);

const wardName = (ward) => (ward === "*" ? t("nav.all") : ward ? t("nav.ward", { ward }) : t("forecasts.no_ward"));

/** "28 times in 100": how often something happened, out of a hundred times. */
function inHundred({ count, came }) {
  const times = (came / count) * 100;
  const shown = times > 0 && times < 1 ? number(times, 1) : number(times);
  return t("forecasts.in_hundred", { count: shown, amount: shown === number(1) ? 1 : 2 });
}

/** The bin that says most: stated at 10 % or more, and often enough; else the one used most. */
function typical(bins) {
  const byCount = (a, b) => b.count - a.count;
  const notable = bins.filter(({ count, stated }) => count >= NOTABLE.count && stated >= NOTABLE.stated);
  return (notable.length ? notable : bins.filter(({ count }) => count)).sort(byCount)[0];
}

/** What the record says, in words; `needed` are the numbers from which it says anything. */
function sentences(record, needed) {
  const { statements, came_true: came, base_rate: rate, skill } = record;
  const judged = t("forecasts.judged", { statements: number(statements), came: number(came), rate: percent(rate) });
  if (!record.enough) {
    return [t("forecasts.not_enough", { statements: number(needed.statements), events: number(needed.events) }), judged];
  }
  const bin = typical(record.bins);
  const verdict = skill > CLEAR ? "better" : skill < -CLEAR ? "worse" : "same";
  return [
    t("forecasts.example", { stated: percent(bin.stated), times: inHundred(bin) }),
    judged,
    t("forecasts.off", { points: number(record.calibration_error * 100, 1) }),
    t(`forecasts.${verdict}`, { rate: percent(rate) }),
  ];
}

function row({ from, to, count, stated, came }) {
  const used = count > 0;
  return h("tr", { class: used ? "" : "missing" },
    h("th", { scope: "row" }, `${number(from * 100)}–${percent(to)}`),
    h("td", {}, number(count)), h("td", {}, used ? percent(stated) : "–"), h("td", {}, used ? number(came) : "–"),
    h("td", {}, used ? inHundred({ count, came }) : "–"));
}

/** The bins as a table; without a diagram only those that were used. */
function table(record) {
  const bins = record.bins.filter(({ count }) => record.enough || count);
  const heads = ["bin", "count", "stated", "came", "share"].map((name) => h("th", { scope: "col" }, t(`forecasts.table.${name}`)));
  return h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": t("forecasts.table.title") },
    h("table", {}, h("caption", { class: "unseen" }, t("forecasts.table.title")),
      h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...bins.map(row))));
}

/** One side and kind: a heading, what it means in words, the diagram, and its numbers. */
function box(record, needed, id) {
  const said = sentences(record, needed);
  const name = t(`forecasts.${record.side}.${record.kind}`);
  return h("section", { class: "box record", "aria-labelledby": id, dataset: { side: record.side, kind: record.kind } },
    h("h2", { id }, name), h("p", { class: record.enough ? "verdict" : "lacking" }, said[0]), ...said.slice(1).map((sentence) => h("p", {}, sentence)),
    record.enough && h("figure", {}, diagram(record.bins, t("forecasts.diagram", { name, sentence: said[0] })),
      h("figcaption", { class: "small" }, t("forecasts.key"))),
    table(record));
}

export class Forecasts {
  #asked = 0;

  /** `[signal, ward, days]` of the address; what is missing or unknown becomes the usual choice. */
  constructor([signal, ward, days], wards, usual) {
    const signals = forecastSignals();
    this.wards = wards;
    const option = (value, text) => h("option", { value }, text);
    this.ward = h("select", { id: "record-ward", onchange: () => this.#chosen() },
      ...(wards.length ? wards : ["*"]).map((name) => option(name, wardName(name))));
    this.signal = h("select", { id: "record-signal", onchange: () => this.#chosen() },
      ...signals.map((name) => option(name, signalName(name))));
    this.days = h("select", { id: "record-days", onchange: () => this.#chosen() },
      ...PERIODS_DAYS.map((count) => option(String(count), t(`forecasts.days.${count}`))));
    this.ward.value = wards.includes(ward) ? ward : usual;
    if (this.ward.selectedIndex < 0) this.ward.selectedIndex = 0;
    this.signal.value = signals.includes(signal) ? signal : signals[0];
    this.days.value = PERIODS_DAYS.includes(Number(days)) ? days : "30";
    this.said = h("p", { class: "small", role: "status" });
    this.records = h("div", { class: "records" });
    const field = (name, select) => h("span", { class: "field" }, h("label", { for: select.id }, t(`forecasts.${name}`)), select);
    this.root = h("section", { class: "forecasts" },
      h("div", { class: "forecasts-head" }, h("a", { class: "back", href: "#/ward" }, t("nav.back")), h("h1", {}, t("forecasts.title")),
        field("ward", this.ward), field("signal", this.signal), field("period", this.days)),
      h("p", { class: "intro" }, t("forecasts.intro")), this.said, this.records);
    this.#load();
  }

  /** The address follows the choice, so that going back and a reload show it again. */
  #chosen() {
    history.replaceState(null, "", address(this.signal.value, this.ward.value, this.days.value));
    this.#load();
  }

  async #load() {
    this.#asked += 1;
    const asked = this.#asked;
    const since = new Date(clock.now() - Number(this.days.value) * DAY_MS).toISOString();
    const scope = this.ward.value === "*" ? "" : `&ward=${part(this.ward.value)}`;
    write(this.said, t("forecasts.loading"));
    let answer;
    try {
      answer = await get(`v1/signals/${part(this.signal.value)}/track-record?since=${part(since)}${scope}`);
    } catch (refusal) {
      if (asked !== this.#asked) return;
      write(this.said, refusal.message);
      this.records.replaceChildren();
      return;
    }
    if (asked === this.#asked) this.#show(answer);
  }

  #show({ since, wards, together, enough_statements: statements, enough_events: events }) {
    write(this.said, together.length ? t("forecasts.since", { time: moment(millis(since), clock.now()) }) : t("forecasts.none"));
    const boxes = together.map((record, place) => box(record, { statements, events }, `record-${place}`));
    if (this.ward.value === "*" && wards.length > 1) boxes.push(this.#byWard(wards));
    this.records.replaceChildren(...boxes);
  }

  #byWard(wards) {
    const heads = ["ward", "what", "count", "stated", "share"].map((name) => h("th", { scope: "col" }, t(`forecasts.table.${name}`)));
    const rows = wards.flatMap(({ ward, records }) => records.map((record) => h("tr", {},
      h("th", { scope: "row" }, this.wards.includes(ward)
        ? h("a", { href: address(this.signal.value, ward, this.days.value) }, wardName(ward)) : wardName(ward)),
      h("td", {}, t(`forecasts.${record.side}.${record.kind}`)), h("td", {}, number(record.statements)),
      h("td", {}, percent(record.stated)), h("td", {}, inHundred({ count: record.statements, came: record.came_true })))));
    return h("section", { class: "box by-ward", "aria-labelledby": "by-ward" }, h("h2", { id: "by-ward" }, t("forecasts.by_ward")),
      h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-label": t("forecasts.by_ward") },
        h("table", {}, h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...rows))));
  }

  /** After a lost connection: load it again. */
  reopen() {
    this.#load();
  }

  refuse() { /* Only a patient's page is refused. */ }

  close() {
    this.#asked += 1;
  }
}
