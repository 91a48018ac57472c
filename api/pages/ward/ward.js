/* The ward: a tile for every patient; only what is on screen and has changed is written and drawn. */

import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { Traces } from "../patient/history.js";
import { get, part } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { signal } from "../shared/signals.js";
import { byUrgency } from "../shared/store.js";
import { pauses } from "../alarms/silenced.js";
import { Tile } from "./tile.js";

const KEPT = "vitaltwin.order";
const LIMITS_FOR_MS = 60000;
const names = new Intl.Collator(undefined, { numeric: true });

const place = ({ ward, bed }) => `${ward ?? ""}|${bed ?? ""}`;

export class Ward {
  #tiles = new Map();
  #place = new Map();
  #limits = new Map();
  #frame = 0;
  #order = localStorage.getItem(KEPT) ?? "bed";

  constructor(store) {
    this.store = store;
    this.traces = new Traces((patient) => this.#soil(patient));
    this.empty = h("p", { class: "empty" });
    this.count = h("span", { class: "count" });
    this.grid = h("div", { class: "grid" });
    this.choice = h("select", { id: "order", onchange: () => this.#reorder() },
      h("option", { value: "bed" }, t("ward.order_bed")), h("option", { value: "urgency" }, t("ward.order_urgency")));
    this.choice.value = this.#order;
    this.heading = h("h1");
    this.without = h("span", { class: "without", role: "status" });
    this.root = h("section", { class: "ward" },
      h("div", { class: "ward-head" }, this.heading, this.count, this.without,
        h("label", { for: "order" }, t("ward.order")), this.choice),
      this.empty, this.grid);
    this.seen = new IntersectionObserver((changes) => this.#look(changes), { rootMargin: "150px" });
    store.addEventListener("entries", ({ detail }) => this.#changed(detail));
    store.addEventListener("alarms", () => this.#order === "urgency" && this.#sort());
    this.grid.addEventListener("measured", ({ target }) => this.#soil(target.closest(".tile").dataset.patient));
    setInterval(() => this.#soilAll(), 5000);
    setInterval(() => this.#countDown(), 1000);
    this.#changed(null);
  }

  /** Set the ward shown and its title. */
  title(ward) {
    write(this.heading, ward === "*" ? t("nav.all") : t("nav.ward", { ward }));
    return this.heading.textContent;
  }

  /** After a gap in the connection: fill the traces again from the history. */
  reopen() {
    this.traces.reopen();
    for (const tile of this.#tiles.values()) if (tile.visible) this.#fill(tile);
  }

  #changed(ids) {
    const { entries } = this.store;
    for (const id of ids ?? entries.keys()) {
      const entry = entries.get(id);
      if (!entry) continue;
      // Another stay under the same id belongs to another person: remove everything of the earlier stay.
      if (this.#tiles.has(id) && this.#tiles.get(id).admitted !== entry.admitted) this.#remove(id);
      this.traces.take(id, entry.signals);
      if (!this.#tiles.has(id)) {
        this.#add(id, entry);
        ids = null;
      } else if (ids !== null && this.#place.get(id) !== place(entry)) ids = null;
      this.#place.set(id, place(entry));
      this.#soil(id);
    }
    if (ids !== null) return;
    for (const id of this.#tiles.keys()) if (!entries.has(id)) this.#remove(id);
    write(this.count, this.store.loaded ? t("ward.patients", { count: entries.size }) : "");
    write(this.empty, entries.size ? "" : this.store.loaded ? `${t("ward.none")} ${t("ward.none_hint")}` : t("ward.loading"));
    this.#sort();
  }

  #add(id, entry) {
    const tile = new Tile(id);
    tile.admitted = entry.admitted;
    tile.name(entry);
    this.#tiles.set(id, tile);
    this.grid.append(tile.root);
    this.seen.observe(tile.root);
  }

  #remove(id) {
    const { root } = this.#tiles.get(id);
    this.seen.unobserve(root);
    root.remove();
    this.#tiles.delete(id);
    this.#place.delete(id);
    this.#limits.delete(id);
    this.traces.drop(id);
  }

  #look(changes) {
    for (const { target, isIntersecting } of changes) {
      const tile = this.#tiles.get(target.dataset.patient);
      if (!tile) continue;
      tile.visible = isIntersecting;
      if (!isIntersecting) continue;
      this.#soil(tile.patient);
      this.#bounds(tile.patient);
    }
  }

  #fill(tile) {
    for (const name of tile.shown) this.traces.fill(tile.patient, name);
  }

  #soil(id) {
    const tile = this.#tiles.get(id);
    if (!tile) return;
    tile.dirty = true;
    if (tile.visible && !this.#frame) this.#frame = requestAnimationFrame(() => this.#paint());
  }

  /** The time that is left of a pause changes every second. */
  #countDown() {
    for (const id of this.#tiles.keys()) if (pauses(this.store.entries.get(id)).length) this.#soil(id);
  }

  #soilAll() {
    for (const id of this.#tiles.keys()) this.#soil(id);
  }

  #paint() {
    this.#frame = 0;
    const now = clock.now();
    const due = [...this.#tiles.values()].filter((tile) => tile.visible && tile.dirty && this.store.entries.has(tile.patient));
    for (const tile of due) {
      tile.update(this.store.entries.get(tile.patient), now);
      tile.dirty = false;
      this.#fill(tile);
    }
    const limits = (patient, name) => this.#limits.get(patient)?.table?.[name] ?? signal(name).limits ?? {};
    write(this.without, this.traces.missing ? t("ward.no_history") : "");
    for (const tile of due) tile.draw(this.store.entries.get(tile.patient), this.traces, limits, now);
  }

  /** The limits in force for a patient on screen, for the dashed lines; requested again when they may have changed. */
  async #bounds(patient) {
    const known = this.#limits.get(patient);
    if (known && performance.now() - known.at < LIMITS_FOR_MS) return;
    this.#limits.set(patient, { at: performance.now(), table: known?.table });
    try {
      const table = await get(`v1/patients/${part(patient)}/limits`);
      this.#limits.set(patient, { at: performance.now(), table });
      this.#soil(patient);
    } catch {
      this.#limits.delete(patient);
    }
  }

  #reorder() {
    this.#order = this.choice.value;
    localStorage.setItem(KEPT, this.#order);
    this.#sort();
  }

  /** Put the tiles in order. Only tiles out of place move in the document, so the keyboard focus stays. */
  #sort() {
    const { entries } = this.store;
    const foremost = new Map();
    const worst = (id) => {
      if (!foremost.has(id)) foremost.set(id, [...entries.get(id).alarms].sort(byUrgency)[0]);
      return foremost.get(id);
    };
    const byBed = (a, b) => {
      const [one, two] = [entries.get(a), entries.get(b)];
      return names.compare(one.ward ?? "", two.ward ?? "") || names.compare(one.bed ?? "", two.bed ?? "") || names.compare(a, b);
    };
    const urgency = (a, b) => {
      const [one, two] = [worst(a), worst(b)];
      if (one && two) return byUrgency(one, two) || byBed(a, b);
      return Number(!one) - Number(!two) || (entries.get(b).news2?.score ?? 0) - (entries.get(a).news2?.score ?? 0) || byBed(a, b);
    };
    const order = [...this.#tiles.keys()].filter((id) => entries.has(id)).sort(this.#order === "urgency" ? urgency : byBed);
    const focused = this.grid.contains(document.activeElement) ? document.activeElement : null;
    let next = this.grid.firstElementChild;
    for (const id of order) {
      const { root } = this.#tiles.get(id);
      if (root === next) next = next.nextElementSibling;
      else this.grid.insertBefore(root, next);
    }
    if (focused && document.activeElement !== focused) focused.focus({ preventScroll: true });
  }
}
