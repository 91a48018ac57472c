/* How much the alarms demand: how many there were, what became of them, where they came from, and how that compares. */

import { alarmName, priorityName } from "../alarms/words.js";
import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { age, moment, number, percent } from "../shared/format.js";
import { get, millis, part } from "../shared/http.js";
import { has, t } from "../shared/i18n.js";
import { hours } from "./hours.js";

const PERIODS_DAYS = [1, 7, 30];
const DAY_MS = 86400000;
const LISTED = 12;

export const address = (ward, days = "") => `#/burden/${part(ward)}${days ? `/${days}` : ""}`;

const wardName = (ward) => (ward === "*" ? t("nav.all") : ward ? t("nav.ward", { ward }) : t("burden.no_ward"));
/** Without a signal: the alarm of any signal. */
const conditionName = (condition, signal) => (
  signal === undefined && has(`alarm.${condition}`) ? t(`alarm.${condition}`, { signal: t("burden.any_signal") }) : alarmName({ condition, signal }));
const share = (amount) => (amount > 0 && amount < 0.1 ? `${number(amount * 100, 1)}\u00a0%` : percent(amount));
const rate = (amount) => (amount === null ? "–" : number(amount, amount < 10 ? 1 : 0));

/** A table; `heads` are keys of messages, the first cell of a row is its heading. */
function table(title, heads, rows, note = "") {
  const id = `burden-${title}`;
  return h("section", { class: "box figures", "aria-labelledby": id }, h("h2", { id }, t(`burden.${title}`)),
    note && h("p", { class: "small" }, note),
    rows.length ? h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-labelledby": id },
      h("table", {}, h("thead", {}, h("tr", {}, ...heads.map((name) => h("th", { scope: "col" }, t(`burden.table.${name}`))))),
        h("tbody", {}, ...rows.map(([first, ...cells]) => h("tr", {}, h("th", { scope: "row" }, first), ...cells.map((cell) => h("td", {}, cell)))))))
      : h("p", {}, t("burden.empty")));
}

const ofAll = (count, all) => (all ? percent(count / all) : "–");

/** The rows of groups: how many alarms, how they ended, and what they mean per patient. */
function groupRows(groups, name) {
  const whole = groups.reduce((sum, { alarms }) => sum + alarms, 0);
  return groups.filter(({ alarms, rises }) => alarms || rises).slice(0, LISTED).map((group) => [
    name(group.name), number(group.alarms), ofAll(group.alarms, whole), rate(group.per_patient_day),
    ofAll(group.acknowledged, group.alarms), ofAll(group.ended_soon, group.alarms),
  ]);
}

const GROUP_HEADS = ["count", "share", "patient_day", "acknowledged", "soon"];

/** A figure with what it means. */
function figure(value, name, note = "") {
  return h("div", { class: "figure" }, h("dt", {}, t(`burden.${name}`)), h("dd", {}, h("strong", {}, value), note && h("span", { class: "small" }, note)));
}

function guidelineValue(name, value) {
  if (value === null) return "–";
  return name.endsWith("share") ? share(value) : number(value, name === "per_10_min" ? 1 : 0);
}

export class Burden {
  #asked = 0;

  /** `[ward, days]` of the address; what is missing or unknown becomes the usual choice. */
  constructor([ward, days], wards, usual) {
    this.wards = wards;
    const option = (value, text) => h("option", { value }, text);
    this.ward = h("select", { id: "burden-ward", onchange: () => this.#chosen() },
      ...(wards.length ? wards : ["*"]).map((name) => option(name, wardName(name))));
    this.days = h("select", { id: "burden-days", onchange: () => this.#chosen() },
      ...PERIODS_DAYS.map((count) => option(String(count), t(`forecasts.days.${count}`))));
    this.ward.value = wards.includes(ward) ? ward : usual;
    if (this.ward.selectedIndex < 0) this.ward.selectedIndex = 0;
    this.days.value = PERIODS_DAYS.includes(Number(days)) ? days : "1";
    this.said = h("p", { class: "small", role: "status" });
    this.content = h("div", { class: "burden-content" });
    const field = (name, select) => h("span", { class: "field" }, h("label", { for: select.id }, t(`forecasts.${name}`)), select);
    this.root = h("section", { class: "forecasts burden" },
      h("div", { class: "forecasts-head" }, h("a", { class: "back", href: "#/ward" }, t("nav.back")), h("h1", {}, t("burden.title")),
        field("ward", this.ward), field("period", this.days)),
      h("p", { class: "intro" }, t("burden.intro")), this.said, this.content);
    this.#load();
  }

  /** The address follows the choice, so that going back and a reload show it again. */
  #chosen() {
    history.replaceState(null, "", address(this.ward.value, this.days.value));
    this.#load();
  }

  async #load() {
    this.#asked += 1;
    const asked = this.#asked;
    const start = new Date(clock.now() - Number(this.days.value) * DAY_MS).toISOString();
    const scope = this.ward.value === "*" ? "" : `&ward=${part(this.ward.value)}`;
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    write(this.said, t("forecasts.loading"));
    let answer;
    try {
      answer = await get(`v1/alarm-burden?start=${part(start)}&zone=${part(zone)}${scope}`);
    } catch (refusal) {
      if (asked !== this.#asked) return;
      write(this.said, refusal.message);
      this.content.replaceChildren();
      return;
    }
    if (asked === this.#asked) this.#show(answer);
  }

  #show(burden) {
    const { alarms, answers } = burden;
    write(this.said, t("burden.since", { time: moment(millis(burden.start), clock.now()), days: number(burden.patient_days, 1) }));
    if (!alarms && !burden.rises) {
      this.content.replaceChildren(h("p", { class: "verdict" }, t("burden.none")));
      return;
    }
    const figures = h("dl", { class: "key-figures" },
      figure(number(alarms), "alarms", burden.rises ? t("burden.rises", { count: number(burden.rises), amount: burden.rises }) : ""),
      figure(rate(burden.per_patient_day), "per_patient_day"),
      figure(number(burden.most_in_10_min), "most", burden.most_at ? moment(millis(burden.most_at), clock.now()) : ""),
      figure(number(burden.floods.length), "flood_count"),
      figure(percent(answers.acknowledged_share), "acknowledged_share"),
      figure(answers.median_s === null ? "–" : age(answers.median_s), "median", answers.p95_s === null ? "" : t("burden.p95", { age: age(answers.p95_s) })),
      figure(percent(answers.ended_soon_share), "ended_soon"));
    const boxes = [
      this.#guidelines(burden), table("sources", ["source", "patient", "count", "share"], burden.sources.map((one) => [
        conditionName(one.condition, one.signal), this.#patient(one), number(one.alarms), percent(one.share),
      ])),
      table("by_condition", ["condition", ...GROUP_HEADS], groupRows(burden.by_condition, conditionName)),
      table("by_priority", ["priority", ...GROUP_HEADS], groupRows(burden.by_priority, priorityName)),
      this.#byHour(burden.by_hour), this.#floods(burden.floods),
    ];
    if (this.ward.value === "*") {
      boxes.push(table("by_ward", ["ward", ...GROUP_HEADS], groupRows(burden.by_ward, (name) => (
        this.wards.includes(name) ? h("a", { href: address(name, this.days.value) }, wardName(name)) : wardName(name)))));
    }
    if (burden.by_device.some(({ name }) => name)) {
      boxes.push(table("by_device", ["device", ...GROUP_HEADS], groupRows(burden.by_device, (name) => name || t("burden.no_device"))));
    }
    this.content.replaceChildren(h("p", { class: `verdict band ${burden.band}` }, t(`burden.band.${burden.band}`, { rate: number(this.#busiest(burden), 1) })),
      figures, h("div", { class: "records" }, ...boxes));
  }

  #busiest({ by_ward: wards }) {
    return Math.max(0, ...wards.map(({ per_10_min: amount }) => amount));
  }

  #patient({ patient, ward }) {
    if (!patient) return wardName(ward);
    return h("a", { href: `#/patient/${encodeURIComponent(patient)}` }, patient);
  }

  #guidelines({ guidelines }) {
    return table("guidelines", ["guideline", "found", "limit", "met"], guidelines.map(({ name, value, limit, met }) => [
      t(`burden.guideline.${name}`), guidelineValue(name, value), guidelineValue(name, limit), met === null ? "–" : t(met ? "burden.met" : "burden.not_met"),
    ]), t("burden.guidelines_note"));
  }

  #byHour(groups) {
    const box = table("by_hour", ["hour", "count"], groups.map(({ name, alarms }) => [name, number(alarms)]));
    const chart = h("figure", {}, hours(groups, t("burden.hours")));
    const rest = h("details", {}, h("summary", {}, t("forecasts.table.title")), box.lastElementChild);
    box.append(chart, rest);
    return box;
  }

  #floods(floods) {
    const rows = floods.slice(-LISTED).reverse().map(({ ward, begin, end, alarms }) => [
      moment(millis(begin), clock.now()), age((millis(end) - millis(begin)) / 1000), number(alarms), wardName(ward),
    ]);
    return table("floods", ["begin", "length", "count", "ward"], rows, t("burden.floods_note"));
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
