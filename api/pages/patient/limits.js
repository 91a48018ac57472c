/* The alarm limits in force for a patient. Clinicians can change a limit or return to the ward's limit. */

import { attribute, h, write } from "../shared/dom.js";
import { decimals, limitValue, number, signalName, unit, value } from "../shared/format.js";
import { get, part, patch } from "../shared/http.js";
import { locale, t } from "../shared/i18n.js";
import { read } from "./numeral.js";
import { signal } from "../shared/signals.js";
import { Suggestions } from "./suggestions.js";

const BOUNDS = ["critical_low", "low", "high", "critical_high"];
const DURATIONS = ["delay_s", "clear_s"];
const FIELDS = [...BOUNDS, ...DURATIONS];
const LONGEST_DELAY_S = 3600;
/* How often and for how long the page checks whether a change is in force before it says that it is not yet. */
const LOOKS = 20;
const LOOK_MS = 500;

const finite = (amount) => amount !== null && Number.isFinite(amount);
const later = (ms) => new Promise((go) => setTimeout(go, ms));

/** The text in one field cannot be a limit. `message` is for the user, `field` says where. */
class InvalidLimit extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export class Limits extends EventTarget {
  table = {};
  names = [];

  constructor(patient, may) {
    super();
    this.patient = patient;
    this.may = may;
    this.said = h("p", { class: "said", role: "status" });
    this.now = h("p", { class: "small now" });
    this.place = h("div", { class: "scroll", tabIndex: 0, role: "group", "aria-labelledby": "limits-heading" });
    this.root = h("section", { class: "box limits", "aria-labelledby": "limits-heading" },
      h("h2", { id: "limits-heading" }, t("limits.title")), this.place, this.said, this.now);
    this.suggestions = new Suggestions(patient, (changes) => this.#accept(changes));
    this.suggestions.root.hidden = true;
    if (may) this.root.append(this.suggestions.root);
  }

  /** Another stay has begun: limits shown or being typed belonged to the earlier one. */
  anew() {
    this.table = {};
    this.names = [];
    this.#show();
    write(this.said, "");
    write(this.now, "");
    this.suggestions.anew();
  }

  /** Set limits that a person has accepted; returns whether the service took them. */
  async #accept(changes) {
    const meant = this.stay ? `?stay=${new Date(this.stay).toISOString()}` : "";
    try {
      this.#take(await patch(`v1/patients/${part(this.patient)}/limits${meant}`, changes));
      await this.#settle(changes);
      return true;
    } catch (refusal) {
      write(this.said, refusal.message);
      return false;
    }
  }

  async load(names) {
    this.names = names;
    try {
      this.#take(await get(`v1/patients/${part(this.patient)}/limits`));
      // Do not replace a form that is being filled in: new signals appear after it is closed.
      if (!this.form) this.#show();
    } catch (refusal) {
      write(this.said, `${t("limits.failed")} ${refusal.message}`);
    }
  }

  #take(table) {
    this.table = table ?? {};
    this.dispatchEvent(new Event("change"));
  }

  /** The limits in force of one signal. */
  of(name) {
    return { ...signal(name).limits, ...(this.table[name] ?? {}) };
  }

  /** The limit set for this patient; null where the ward's limit or the default applies. */
  #own(name, field) {
    const own = this.table[name]?.own?.[field];
    return finite(own) ? own : null;
  }

  #format(name, field, amount) {
    if (!finite(amount)) return t("limits.none");
    return DURATIONS.includes(field) ? number(amount, decimals(amount, 1)) : limitValue(name, amount);
  }

  #table(cell) {
    const head = FIELDS.map((field) => h("th", { scope: "col" }, t(`limit.${field}`)));
    return h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("limits.signal")), ...head)),
      h("tbody", {}, ...this.shown.map((name) => h("tr", { dataset: { signal: name } },
        h("th", { scope: "row" }, signalName(name), h("span", { class: "unit" }, unit(name))),
        ...FIELDS.map((field) => h("td", {}, cell(name, field)))))));
  }

  #show() {
    this.form = null;
    this.shown = [...this.names];
    const edit = this.may && h("button", { type: "button", onclick: () => this.#edit() }, t("limits.edit"));
    const cell = (name, field) => {
      const text = this.#format(name, field, this.table[name]?.[field] ?? null);
      return this.#own(name, field) === null ? text : h("strong", { class: "own", title: t("limits.own") }, text);
    };
    this.place.replaceChildren(this.#table(cell), ...(edit ? [edit] : []));
    this.suggestions.root.hidden = !this.names.length;
  }

  /** The form shows the limits in force when it opens: another screen may have changed them. */
  async #edit() {
    write(this.said, "");
    write(this.now, "");
    try {
      this.#take(await get(`v1/patients/${part(this.patient)}/limits`));
    } catch (refusal) {
      write(this.said, `${t("limits.failed")} ${refusal.message}`);
      return;
    }
    this.shown = [...this.names];
    this.form = h("form", { noValidate: true, onsubmit: (event) => {
      event.preventDefault();
      this.#save();
    } }, h("p", { class: "small" }, t("limits.hint")), this.#table((name, field) => this.#field(name, field)),
    h("button", { type: "submit" }, t("limits.save")),
    h("button", { type: "button", class: "plain", onclick: () => this.#show() }, t("limits.cancel")));
    this.place.replaceChildren(this.form);
    this.form.querySelector("input").focus();
  }

  /** A text field, not type=number: a browser returns an empty string for text that it cannot read as a number. */
  #field(name, field) {
    const own = this.#own(name, field);
    const label = t("limits.field", { signal: signalName(name), limit: t(`limit.${field}`) });
    const follows = this.#format(name, field, this.table[name]?.follows?.[field] ?? null);
    const input = h("input", {
      type: "text", inputMode: "decimal", autocomplete: "off", name: `${name}.${field}`, maxLength: 12,
      value: this.#plain(own), placeholder: follows, "aria-label": label,
    });
    const error = h("p", { class: "error", id: `wrong-${name}-${field}` });
    const back = own !== null && h("button", {
      type: "button", class: "follow", title: t("limits.follow_title", { value: follows }),
      "aria-label": t("limits.follow_one", { field: label, value: follows }),
      onclick: () => {
        input.value = "";
        input.focus();
        back.remove();
      },
    }, t("limits.follow", { value: follows }));
    return h("span", { class: "limit-field" }, input, ...(back ? [back] : []), error);
  }

  #plain(amount) {
    if (amount === null) return "";
    return new Intl.NumberFormat(locale(), { useGrouping: false, maximumFractionDigits: 4 }).format(amount);
  }

  /** Only the changed bounds; null returns to the ward's limit. Throws `InvalidLimit`. */
  #changes() {
    const changes = {};
    for (const name of this.shown) {
      for (const field of FIELDS) {
        const input = this.form.elements[`${name}.${field}`];
        const own = this.#own(name, field);
        if (input.value === this.#plain(own)) continue;
        const typed = this.#read(name, field, input);
        if (typed !== own) (changes[name] ??= {})[field] = typed;
      }
      if (changes[name]) this.#inOrder(name, changes[name]);
    }
    return changes;
  }

  #read(name, field, input) {
    if (!input.value.trim()) return null;
    const texts = { text: input.value.trim() };
    const { amount, reason, readings } = read(input.value);
    if (reason === "ambiguous") throw new InvalidLimit(input, t("limits.ambiguous", { ...texts, one: readings[0], other: readings[1] }));
    if (reason) throw new InvalidLimit(input, t("limits.not_a_number", texts));
    if (DURATIONS.includes(field)) {
      if (amount < 0 || amount > LONGEST_DELAY_S) throw new InvalidLimit(input, t("limits.delay_range", { most: number(LONGEST_DELAY_S) }));
      return amount;
    }
    const [low, high] = signal(name).plausible ?? [];
    if (finite(low) && finite(high) && (amount < low || amount > high)) {
      throw new InvalidLimit(input, t("limits.implausible", { value: number(amount, decimals(amount, 2)), unit: unit(name), low: value(name, low), high: value(name, high) }));
    }
    return amount;
  }

  #inOrder(name, changed) {
    const after = BOUNDS.map((bound) => (bound in changed ? changed[bound] ?? this.table[name]?.follows?.[bound] : this.of(name)[bound]));
    const bounds = BOUNDS.map((bound, i) => [bound, after[i]]).filter(([, amount]) => finite(amount));
    const wrong = bounds.findIndex(([, amount], i) => i && amount <= bounds[i - 1][1]);
    if (wrong < 0) return;
    const [at] = [bounds[wrong][0], bounds[wrong - 1][0]].filter((bound) => bound in changed);
    throw new InvalidLimit(this.form.elements[`${name}.${at ?? bounds[wrong][0]}`], t("limits.order", { signal: signalName(name) }));
  }

  #complain(input, message) {
    for (const error of this.form.querySelectorAll(".limit-field .error")) write(error, "");
    for (const field of this.form.querySelectorAll("[aria-invalid]")) field.removeAttribute("aria-invalid");
    if (!input) return;
    const error = input.parentElement.querySelector(".error");
    write(error, message);
    attribute(input, "aria-invalid", "true");
    attribute(input, "aria-describedby", error.id);
    input.focus();
  }

  async #save() {
    this.#complain(null);
    let changes;
    try {
      changes = this.#changes();
    } catch (wrong) {
      if (!(wrong instanceof InvalidLimit)) throw wrong;
      this.#complain(wrong.field, wrong.message);
      write(this.said, `${t("limits.nothing_sent")} ${wrong.message}`);
      return;
    }
    if (!Object.keys(changes).length) {
      this.#show();
      write(this.said, t("limits.unchanged"));
      return;
    }
    const button = this.form.querySelector("[type=submit]");
    button.disabled = true;
    write(this.said, t("alarms.sending"));
    const meant = this.stay ? `?stay=${new Date(this.stay).toISOString()}` : "";
    try {
      this.#take(await patch(`v1/patients/${part(this.patient)}/limits${meant}`, changes));
      await this.#settle(changes);
    } catch (refusal) {
      button.disabled = false;
      const [fault] = refusal.problem?.errors ?? [];
      const place = fault?.field && Object.entries(changes).flatMap(([name, of]) => Object.keys(of).map((field) => `${name}.${field}`))
        .find((one) => fault.field.endsWith(one) || one.startsWith(`${fault.field}.`));
      if (place) this.#complain(this.form.elements[place], refusal.message);
      write(this.said, refusal.message);
    }
  }

  /** Whether the service now shows the limits that were sent. */
  #holds(changes) {
    return Object.entries(changes).every(([name, fields]) => (
      Object.entries(fields).every(([field, wanted]) => this.#own(name, field) === wanted)));
  }

  /** The page says "saved" when the service shows the new limits, not when it accepts the request. */
  async #settle(changes) {
    for (let look = 0; look < LOOKS && !this.#holds(changes); look += 1) {
      await later(LOOK_MS);
      this.#take(await get(`v1/patients/${part(this.patient)}/limits`));
    }
    this.#show();
    write(this.said, this.#holds(changes) ? t("limits.saved") : t("limits.not_yet"));
    write(this.now, this.#inForce(changes));
  }

  /** The limit now in force for each changed bound: "Heart rate, high: 105 /min (this patient's own)". */
  #inForce(changes) {
    const lines = Object.entries(changes).flatMap(([name, fields]) => Object.keys(fields).map((field) => {
      const texts = {
        field: t("limits.field", { signal: signalName(name), limit: t(`limit.${field}`) }),
        value: this.#format(name, field, this.table[name]?.[field] ?? null),
      };
      return this.#own(name, field) === null ? t("limits.now_follows", texts) : t("limits.now_own", texts);
    }));
    return t("limits.now", { list: lines.join(" ") });
  }
}
