/* The patient's page: every signal's course and forecast, the alarms with their reasons, the score, facts and limits. */

import { AlarmsOff } from "./alarms-off.js";
import * as clock from "../shared/clock.js";
import { Card, keep, line } from "../alarms/card.js";
import { h, mark, write } from "../shared/dom.js";
import { Facts } from "./facts.js";
import { age, measure, moment, signalName } from "../shared/format.js";
import { get, items, part } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { Limits } from "./limits.js";
import { Models } from "./models.js";
import { News2Table } from "./news2.js";
import { Pauses } from "./pauses.js";
import { SignalView } from "./signal.js";
import { recorded, rows, PAIRS } from "../shared/signals.js";
import { byUrgency, Store } from "../shared/store.js";
import { nested, under } from "../alarms/silenced.js";
import { whoLine } from "../alarms/words.js";

const RANGES_S = [1800, 7200, 28800, 86400];
const KEPT = "vitaltwin.range";
const EARLIER = 20;

export class PatientPage {
  #views = new Map();
  #cards = new Map();
  #names = "";
  #admitted = 0;

  constructor(id, { ward, connection, may }) {
    this.id = id;
    this.connection = connection;
    this.may = may;
    this.channel = `patient/${id}`;
    this.store = new Store();
    this.range = RANGES_S.includes(Number(localStorage.getItem(KEPT))) ? Number(localStorage.getItem(KEPT)) : 7200;
    this.#build();
    this.store.addEventListener("entries", () => this.#update());
    this.store.addEventListener("alarms", () => this.#alarms());
    this.limits.addEventListener("change", () => this.#draw());
    this.timer = setInterval(() => this.#tick(), 1000);
    connection.subscribe(this.channel, (message) => {
      this.store.take(message);
      if (message.type === "alarm" && ward.entries.has(id)) ward.transition({ ...message.alarm }, true);
    }, 2);
    this.#earlier();
  }

  #build() {
    this.heading = h("h1", { tabIndex: -1 }, t("patient.loading"));
    this.where = h("p", { class: "where" });
    this.facts = new Facts(this.id, this.may);
    this.limits = new Limits(this.id, this.may);
    this.off = new AlarmsOff(this.id, this.may);
    this.pauses = new Pauses(this.id, this.may);
    this.news2 = new News2Table(this.id, this.may);
    this.models = new Models();
    this.charts = h("div", { class: "charts" });
    this.other = h("dl", { class: "recorded" });
    this.cards = h("ul", { class: "cards" });
    this.none = h("p", { class: "none" });
    this.past = h("ol", { class: "events" });
    const range = h("select", { id: "range", onchange: () => this.#choose(Number(range.value)) },
      ...RANGES_S.map((seconds) => h("option", { value: String(seconds) }, t(`patient.range.${seconds}`))));
    range.value = String(this.range);
    const key = (name) => h("li", { class: name }, t(`chart.key.${name}`));
    this.pastForecast = h("input", { type: "checkbox", id: "past-forecast", onchange: () => this.#togglePastForecast() });
    this.root = h("section", { class: "patient" },
      h("div", { class: "patient-head" }, h("a", { class: "back", href: "#/ward" }, t("nav.back")), this.heading, this.where,
        h("label", { for: "range" }, t("patient.range")), range),
      h("div", { class: "columns" },
        h("div", { class: "left" },
          h("ul", { class: "key" }, ...["observed", "estimate", "forecast", "limit"].map(key),
            h("li", { class: "past-forecast" }, this.pastForecast, h("label", { for: "past-forecast" }, t("chart.key.past_forecast")))), this.charts, this.other, this.limits.root),
        h("div", { class: "right" },
          h("section", { class: "box", "aria-labelledby": "patient-alarms" },
            h("h2", { id: "patient-alarms" }, t("patient.alarms")), this.none, this.cards,
            h("details", {}, h("summary", {}, t("patient.past")), this.past)),
          this.pauses.root, this.off.root, this.news2.root, this.models.root, this.facts.root)));
  }

  /** The service no longer sends this patient's values: remove all of them from the screen. */
  refuse(ended = false) {
    this.store.clear();
    this.heading.textContent = ended ? t("patient.ended") : t("patient.unknown");
    document.title = t("app.title");
    write(this.where, "");
    this.#forget();
    mark(this.root, "gone", true);
  }

  #forget() {
    this.store.forget(this.id);
    this.limits.anew();
    for (const view of this.#views.values()) view.destroy();
    this.#views.clear();
    this.#names = "";
    this.charts.replaceChildren();
    this.other.replaceChildren();
    const nobody = { label: this.id, signals: {}, alarms: [], news2: null };
    for (const side of [this.news2, this.models, this.facts, this.off, this.pauses]) side.update(nobody);
  }

  get entry() {
    return this.store.entries.get(this.id);
  }

  #update() {
    const { entry } = this;
    if (!entry) {
      if (this.store.loaded) this.refuse();
      return;
    }
    // Another stay under the same id belongs to another person: remove everything of the earlier stay.
    if (this.#admitted && entry.admitted !== this.#admitted) this.#forget();
    this.#admitted = entry.admitted;
    this.limits.stay = entry.admitted;
    mark(this.root, "gone", false);
    write(this.heading, whoLine(this.id, entry));
    document.title = `${this.heading.textContent} – ${t("app.title")}`;
    const admitted = entry.admitted ? t("patient.admitted", { time: moment(entry.admitted, clock.now()) }) : "";
    write(this.where, [entry.ward ? t("patient.ward", { ward: entry.ward }) : "", admitted].filter(Boolean).join(" · "));
    this.#arrange(entry);
    for (const [name, view] of this.#views) view.take(entry.signals[name]);
    this.#draw();
    this.news2.update(entry);
    this.models.update(entry);
    this.facts.update(entry);
    this.off.update(entry);
    this.pauses.update(entry);
  }

  /** One view for every signal that the twin follows, made when the signal appears. */
  #arrange(entry) {
    const order = rows(Object.keys(entry.signals)).flatMap((name) => (PAIRS[name] in entry.signals ? [name, PAIRS[name]] : [name]));
    if (order.join() === this.#names) return;
    this.#names = order.join();
    for (const name of order) {
      if (this.#views.has(name)) continue;
      const view = new SignalView(this.id, name);
      this.#views.set(name, view);
      view.showPastForecast(this.pastForecast.checked);
      view.show(this.range * 1000).then(() => this.#draw());
    }
    this.charts.replaceChildren(...(order.length ? order.map((name) => this.#views.get(name).root)
      : [h("p", { class: "none" }, t("patient.no_signals"))]));
    if (order.length) this.limits.load(order);
  }

  #draw() {
    const { entry } = this;
    if (!entry) return;
    for (const [name, view] of this.#views) view.update(entry, this.limits.of(name));
    const others = Object.entries(entry.signals).filter(([name]) => recorded(name));
    this.other.replaceChildren(...others.flatMap(([name, { t: at, v }]) => [h("dt", {}, signalName(name)),
      h("dd", {}, `${measure(name, v)} – ${t("tile.old", { age: age((clock.now() - at) / 1000) })}`)]));
  }

  #tick() {
    this.#draw();
    if (this.entry) this.news2.update(this.entry);
    this.models.tick();
    this.pauses.tick();
    for (const card of this.#cards.values()) card.tick();
  }

  #alarms() {
    const alarms = [...(this.entry?.alarms ?? [])].sort(byUrgency);
    keep(this.cards, this.#cards, nested(alarms), (alarm) => new Card(alarm, {
      may: this.may, open: true, entry: () => this.entry, members: (lead) => under(this.entry, lead),
    }));
    write(this.none, alarms.length ? "" : t("alarms.none_patient"));
    const here = this.store.transitions.filter((alarm) => alarm.patient === this.id).slice(-EARLIER).reverse();
    this.past.replaceChildren(...here.map((alarm) => line(alarm, "")));
  }

  async #earlier() {
    try {
      this.store.backfill(items(await get(`v1/alarms?state=all&patient=${part(this.id)}`)));
    } catch {
      /* The active alarms come over the socket; earlier ones are optional. */
    }
  }

  #choose(seconds) {
    this.range = seconds;
    localStorage.setItem(KEPT, String(seconds));
    this.reopen();
  }

  #togglePastForecast() {
    for (const view of this.#views.values()) view.showPastForecast(this.pastForecast.checked).then(() => this.#draw());
    this.#draw();
  }

  /** Load the charts again: for another range, or after a lost connection. */
  reopen() {
    for (const view of this.#views.values()) view.show(this.range * 1000).then(() => this.#draw());
  }

  close() {
    clearInterval(this.timer);
    this.connection.unsubscribe(this.channel);
    for (const view of this.#views.values()) view.destroy();
  }
}
