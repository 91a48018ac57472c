/* The alarm limits in force for a patient, and for clinicians the way to change them. */

import { h, write } from "./dom.js";
import { digits, signalName, unit, value } from "./format.js";
import { get, part, put } from "./http.js";
import { t } from "./i18n.js";
import { signal } from "./signals.js";

const BOUNDS = ["critical_low", "low", "high", "critical_high"];
const FIELDS = [...BOUNDS, "delay_s"];

const finite = (amount) => amount !== null && Number.isFinite(amount);

export class Limits extends EventTarget {
  table = {};

  constructor(patient, may) {
    super();
    this.patient = patient;
    this.may = may;
    this.said = h("p", { class: "said", role: "status" });
    this.place = h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-labelledby": "limits-heading" });
    this.root = h("section", { class: "box limits", "aria-labelledby": "limits-heading" },
      h("h2", { id: "limits-heading" }, t("limits.title")), this.place, this.said);
  }

  async load(names) {
    this.names = names;
    try {
      this.table = (await get(`v1/patients/${part(this.patient)}/limits`)) ?? {};
      this.#show();
      this.dispatchEvent(new Event("change"));
    } catch (refusal) {
      write(this.said, `${t("limits.failed")} ${refusal.message}`);
    }
  }

  /** The limits in force of one signal. */
  of(name) {
    return { ...signal(name).limits, ...(this.table[name] ?? {}) };
  }

  #own(name, field) {
    const row = this.table[name];
    if (!row) return null;
    const own = row.own ?? (row.origin === "patient" ? row : null);
    return own && finite(own[field]) ? own[field] : null;
  }

  #shown(name, field) {
    const amount = field === "delay_s" ? this.table[name]?.delay_s ?? signal(name).delay_s : this.of(name)[field];
    if (!finite(amount)) return t("limits.none");
    return field === "delay_s" ? String(amount) : value(name, amount);
  }

  #table(cell) {
    const head = FIELDS.map((field) => h("th", { scope: "col" }, t(`limit.${field}`)));
    return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("limits.signal")), ...head)),
      h("tbody", {}, ...this.names.map((name) => h("tr", { dataset: { signal: name } },
        h("th", { scope: "row" }, signalName(name), h("span", { class: "unit" }, unit(name))),
        ...FIELDS.map((field) => h("td", {}, cell(name, field)))))));
  }

  #show() {
    const edit = this.may && h("button", { type: "button", onclick: () => this.#edit() }, t("limits.edit"));
    this.place.replaceChildren(this.#table((name, field) => this.#shown(name, field)), ...(edit ? [edit] : []));
  }

  #edit() {
    write(this.said, "");
    const field = (name, limit) => {
      const own = this.#own(name, limit);
      return h("input", {
        type: "number", name: `${name}.${limit}`, step: limit === "delay_s" ? "1" : String(10 ** -digits(name)),
        value: own === null ? "" : String(own), placeholder: this.#shown(name, limit),
        "aria-label": t("limits.field", { signal: signalName(name), limit: t(`limit.${limit}`) }),
      });
    };
    const form = h("form", { noValidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.#save(form);
    } }, h("p", { class: "small" }, t("limits.hint")), this.#table(field),
    h("button", { type: "submit" }, t("limits.save")),
    h("button", { type: "button", class: "plain", onclick: () => this.#show() }, t("limits.cancel")));
    this.place.replaceChildren(form);
    form.querySelector("input").focus();
  }

  /** Only the signals that were changed are sent; an emptied field goes back to the ward's or built-in limit. */
  #changes(form) {
    const changes = {};
    for (const name of this.names) {
      const wanted = Object.fromEntries(FIELDS.map((field) => {
        const typed = form.elements[`${name}.${field}`].valueAsNumber;
        return [field, Number.isFinite(typed) ? typed : null];
      }));
      if (FIELDS.every((field) => wanted[field] === this.#own(name, field))) continue;
      changes[name] = FIELDS.every((field) => wanted[field] === null) ? null : wanted;
    }
    return changes;
  }

  #disorder(changes) {
    return Object.keys(changes).find((name) => {
      const bounds = BOUNDS.map((bound) => changes[name]?.[bound] ?? this.of(name)[bound]).filter(finite);
      return changes[name] && bounds.some((bound, i) => i && bound <= bounds[i - 1]);
    });
  }

  async #save(form) {
    const changes = this.#changes(form);
    const wrong = this.#disorder(changes);
    if (wrong) {
      write(this.said, t("limits.order", { signal: signalName(wrong) }));
      return;
    }
    if (!Object.keys(changes).length) {
      this.#show();
      write(this.said, t("limits.unchanged"));
      return;
    }
    try {
      await put(`v1/patients/${part(this.patient)}/limits`, changes);
      await this.load(this.names);
      write(this.said, t("limits.saved"));
    } catch (refusal) {
      write(this.said, refusal.message);
    }
  }
}
