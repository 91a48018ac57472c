/* The alarm panel: active alarms (most urgent first), the latest transitions, and announcements for screen readers. */

import * as clock from "../shared/clock.js";
import { h, mark, write } from "../shared/dom.js";
import { number } from "../shared/format.js";
import { t } from "../shared/i18n.js";
import { calling, episode } from "../shared/store.js";
import { nested, under } from "./silenced.js";
import { alarmName, priorityName, whoLine, why } from "./words.js";
import { Card, digestLine, keep, line } from "./card.js";
import { causeId, causes, isCause } from "./causes.js";
import { SilentWard } from "./silent_ward.js";

const LINES = 60;
const CARDS = 200;
const CALM_MS = 1000;
/* Changes of an alarm that sound nowhere: screen readers do not interrupt for them. */
const UNANNOUNCED = new Set([
  "paused", "resumed", "taken", "grouped", "ungrouped", "known", "unknown", "eased", "escalated", "exhausted",
]);

export class Alarms {
  #cards = new Map();
  #shown = "";
  #timer = 0;
  /* In a flood the list is written less often: one that changes sixty times a second helps nobody. */
  #crowded = false;

  constructor(store, { may, alert, status, button }) {
    this.store = store;
    this.may = may;
    this.alert = alert;
    this.status = status;
    this.button = button;
    this.list = h("ul", { class: "cards" });
    this.none = h("p", { class: "none" });
    this.rest = h("p", { class: "none" });
    this.events = h("ol", { class: "events" });
    this.noEvents = h("p", { class: "none" });
    const heading = h("h2", { id: "alarms-heading", tabIndex: -1 }, t("alarms.title"));
    this.heading = heading;
    this.root = h("section", { class: "alarms", id: "alarms", "aria-labelledby": "alarms-heading" },
      h("div", { class: "alarms-head" }, heading,
        h("button", { class: "close", type: "button", onclick: () => this.toggle(false) }, t("nav.close"))),
      h("div", { class: "alarms-body", tabIndex: 0, role: "group", "aria-labelledby": "alarms-heading" },
        this.none, this.list, this.rest,
        h("h3", {}, t("alarms.recent")), this.noEvents, this.events));
    button.addEventListener("click", () => this.toggle(!document.body.classList.contains("show-alarms")));
    addEventListener("keydown", (event) => event.key === "Escape" && this.toggle(false));
    addEventListener("hashchange", () => this.toggle(false));
    store.addEventListener("alarms", () => this.#soon());
    store.addEventListener("transition", ({ detail }) => this.#announce(detail));
    store.addEventListener("digest", ({ detail }) => {
      this.status.textContent = t("alarms.digest", { count: number(detail.count), amount: detail.count });
    });
    setInterval(() => this.#tick(), 1000);
    this.#update();
  }

  /** On narrow screens the panel covers the page. */
  toggle(open) {
    if (document.body.classList.contains("show-alarms") === open) return;
    mark(document.body, "show-alarms", open);
    this.button.setAttribute("aria-expanded", String(open));
    if (open) this.heading.focus();
    else this.button.focus();
  }

  #label(alarm) {
    return whoLine(alarm.patient, this.store.entries.get(alarm.patient));
  }

  /** Many alarms may change at once: write them together. This is a timer because hidden pages get no animation frames. */
  #soon() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#update();
    }, this.#crowded ? CALM_MS : 16);
  }

  #update() {
    const active = this.store.active();
    const entries = nested(causes(active, this.store.entries));
    this.#crowded = active.length > CARDS;
    keep(this.list, this.#cards, entries.slice(0, CARDS), (entry) => (isCause(entry)
      ? new SilentWard(entry, { may: this.may, entries: this.store.entries })
      : new Card(entry, {
        label: this.#label(entry), may: this.may, entry: () => this.store.entries.get(entry.patient),
        members: (lead) => under(this.store.entries.get(lead.patient), lead),
      })));
    const rest = entries.length - CARDS;
    write(this.rest, rest > 0 ? t("alarms.more", { count: number(rest), amount: rest }) : "");
    write(this.none, active.length ? "" : t("alarms.none"));
    write(this.button, t("nav.alarms_count", { count: number(active.length), amount: active.length }));
    const [worst] = active;
    for (const priority of ["high", "medium", "low"]) mark(this.button, priority, worst?.priority === priority);
    mark(this.button, "answered", worst && !calling(worst));
    const latest = [...this.store.transitions.slice(-LINES), ...this.store.digests]
      .sort((a, b) => b.time - a.time).slice(0, LINES);
    write(this.noEvents, latest.length ? "" : t("alarms.none_recent"));
    const shown = latest.map((one) => (one.groups ? `digest${one.offset}` : `${episode(one)}${one.presence}${one.time}${this.#label(one)}`)).join();
    if (shown === this.#shown) return;
    this.#shown = shown;
    this.events.replaceChildren(...latest.map((one) => (one.groups ? digestLine(one) : line(one, this.#label(one)))));
  }

  #tick() {
    for (const card of this.#cards.values()) card.tick();
  }

  /** Announce: new high alarms at once, everything else when the screen reader pauses. */
  #announce(alarm) {
    if (alarm.past || UNANNOUNCED.has(alarm.event) || (alarm.under && alarm.presence === "on")) return;
    const texts = { alarm: alarmName(alarm), label: this.#label(alarm), why: why(alarm, this.store.entries.get(alarm.patient), clock.now()), priority: priorityName(alarm.priority) };
    if (alarm.presence === "on" && alarm.priority === "high") this.alert.textContent = t("alarms.announce", texts);
    else if (alarm.presence === "acknowledged") this.status.textContent = t("alarms.announce_acknowledged", texts);
    else if (alarm.presence === "off") this.status.textContent = t("alarms.announce_off", texts);
    else this.status.textContent = t("alarms.announce", texts);
  }
}
