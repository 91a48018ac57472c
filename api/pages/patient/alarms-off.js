/* Limit alarms of one signal that are off for a limited time: who did it, why and until when; clinicians can do it here. */

import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { moment, signalName } from "../shared/format.js";
import { part, put, remove } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { signal } from "../shared/signals.js";

const MINUTES = [15, 30, 60, 120, 240, 720];
const USUAL = 30;

/** "Limit alarms off until 14:30 (ada: in theatre)"; empty where they are on. */
export function offText(entry, name) {
  const off = entry.alarms_off?.[name];
  return off ? t("off.until", { time: moment(off.until, clock.now()), by: off.by, reason: off.reason }) : "";
}

/** The signals whose alarms are off, as a list of names. */
export const offNames = (entry) => Object.keys(entry.alarms_off ?? {}).map(signalName).join(", ");

export class AlarmsOff {
  #seen = "";

  constructor(patient, may) {
    this.patient = patient;
    this.may = may;
    this.list = h("ul", { class: "off-list" });
    this.said = h("p", { class: "said", role: "status" });
    this.root = h("section", { class: "box alarms-off-box", "aria-labelledby": "off-heading", hidden: true },
      h("h2", { id: "off-heading" }, t("off.title")), this.list, ...(may ? [this.#form()] : []), this.said);
  }

  #form() {
    this.signal = h("select", { name: "signal" });
    this.minutes = h("select", { name: "minutes" },
      ...MINUTES.map((minutes) => h("option", { value: String(minutes) }, t(`off.minutes.${minutes}`))));
    this.minutes.value = String(USUAL);
    this.reason = h("input", { name: "reason", type: "text", maxLength: 200, autocomplete: "off", required: true });
    return h("details", {}, h("summary", {}, t("off.open")),
      h("form", { onsubmit: (event) => {
        event.preventDefault();
        this.#turnOff();
      } },
      h("p", { class: "small" }, t("off.hint")),
      h("label", {}, t("off.signal"), this.signal), h("label", {}, t("off.for"), this.minutes),
      h("label", {}, t("off.reason"), this.reason), h("button", { type: "submit" }, t("off.submit"))));
  }

  update(entry) {
    const names = Object.keys(entry.signals).filter((name) => ["vital", "glucose"].includes(signal(name).kind));
    const seen = JSON.stringify([names, entry.alarms_off ?? {}]);
    if (seen === this.#seen) return;
    this.#seen = seen;
    const off = Object.keys(entry.alarms_off ?? {});
    this.list.replaceChildren(...off.map((name) => h("li", { dataset: { signal: name } },
      h("span", {}, h("strong", {}, signalName(name)), ` – ${offText(entry, name)}`),
      this.may && h("button", { type: "button", onclick: () => this.#turnOn(name) }, t("off.on")))));
    this.root.hidden = !off.length && !(this.may && names.length);
    if (!this.may) return;
    const chosen = this.signal.value;
    this.signal.replaceChildren(...names.map((name) => h("option", { value: name }, signalName(name))));
    if (names.includes(chosen)) this.signal.value = chosen;
  }

  async #turnOff() {
    const name = this.signal.value;
    const wanted = { minutes: Number(this.minutes.value), reason: this.reason.value.trim() };
    if (await this.#send(() => put(this.#place(name), wanted), t("off.done", { signal: signalName(name) }))) {
      this.reason.value = "";
      this.root.querySelector("details").open = false;
    }
  }

  #turnOn(name) {
    return this.#send(() => remove(this.#place(name)), t("off.undone", { signal: signalName(name) }));
  }

  #place(name) {
    return `v1/patients/${part(this.patient)}/alarms-off/${part(name)}`;
  }

  async #send(request, done) {
    write(this.said, t("alarms.sending"));
    try {
      await request();
      write(this.said, done);
      return true;
    } catch (refusal) {
      write(this.said, refusal.message);
      return false;
    }
  }
}
