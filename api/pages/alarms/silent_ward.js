/* A card for a ward in which many patients fell silent together: one card, one tone, one button, and the list. */

import * as clock from "../shared/clock.js";
import { badge, h, write } from "../shared/dom.js";
import { age, number, shortTime } from "../shared/format.js";
import { post } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { episode } from "../shared/store.js";
import { causeId, unanswered } from "./causes.js";
import { priorityName, whoLine } from "./words.js";

const LISTED = 200;
const AT_ONCE = 500;

/** Acknowledge exactly these alarms, as many in a request as it may have. */
async function acknowledgeAll(alarms, button, error) {
  button.disabled = true;
  write(button, t("alarms.sending"));
  write(error, "");
  const names = alarms.map(episode);
  try {
    for (let at = 0; at < names.length; at += AT_ONCE) {
      await post("v1/alarms/acknowledge", { alarms: names.slice(at, at + AT_ONCE) });
    }
  } catch (refusal) {
    write(error, refusal.message);
    button.disabled = false;
    write(button, t("alarms.acknowledge_all", { count: number(alarms.length), amount: alarms.length }));
  }
}

export class SilentWard {
  constructor(entry, { may = false, entries }) {
    this.may = may;
    this.entries = entries;
    this.root = h("li", { class: "card" });
    this.since = h("span", { class: "since" });
    this.update(entry);
  }

  update(entry) {
    this.entry = entry;
    const state = `${entry.patients} ${entry.of} ${entry.alarms.length} ${unanswered(entry).length}`;
    if (state !== this.state) this.#build();
    this.state = state;
    this.tick();
  }

  tick() {
    write(this.since, t("alarms.since", { age: age((clock.now() - this.entry.since) / 1000) }));
  }

  #build() {
    const { entry } = this;
    const open = unanswered(entry);
    const priority = entry.alarms[0].priority;
    const error = h("p", { class: "error", role: "status" });
    const texts = { count: number(entry.patients), of: number(Math.max(entry.of, entry.patients)), time: shortTime(entry.since) };
    const button = this.may && open.length > 0 && h("button", {
      class: "acknowledge", type: "button", onclick: () => acknowledgeAll(unanswered(this.entry), button, error),
    }, t("alarms.acknowledge_all", { count: number(open.length), amount: open.length }));
    this.details = h("details", { open: this.details?.open ?? false, ontoggle: () => this.#list() },
      h("summary", {}, t("alarms.open_list")), h("ul", { class: "sentences" }));
    this.root.className = `card ${priority} ${open.length ? "on" : "acknowledged"}`;
    this.root.dataset.cause = causeId(entry);
    this.root.replaceChildren(
      badge(priority, !open.length, priorityName(priority)),
      h("div", { class: "said" },
        h("strong", {}, entry.ward ? t("alarms.silent_ward", { ward: entry.ward }) : t("alarms.silent_many")),
        h("p", { class: "why" }, t("alarms.silent_patients", texts)),
        h("p", { class: "state" }, this.since)),
      this.details, ...(button ? [button] : []), error);
    this.#list();
  }

  /** The patients, once the list is opened. */
  #list() {
    if (!this.details.open) return;
    const patients = [...new Set(this.entry.alarms.map(({ patient }) => patient))];
    const rest = patients.length - LISTED;
    this.details.lastChild.replaceChildren(
      ...patients.slice(0, LISTED).map((patient) => h("li", {},
        h("a", { href: `#/patient/${encodeURIComponent(patient)}` }, whoLine(patient, this.entries.get(patient))))),
      ...(rest > 0 ? [h("li", {}, t("alarms.more_patients", { count: number(rest), amount: rest }))] : []));
  }
}
