/* Pauses of the patient's alarms: who paused and why, the time that is left, and the buttons to pause and to end a pause. */

import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { part, put, remove } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { countdown, KINDS, pausedBy } from "../alarms/silenced.js";

const SECONDS = { audio: 120, alarm: 180 };

export class Pauses {
  #entry = null;
  #seen = "";

  constructor(patient, may) {
    this.patient = patient;
    this.may = may;
    this.rows = h("ul", { class: "pause-list" });
    this.buttons = h("div", { class: "pause-buttons" });
    this.said = h("p", { class: "said", role: "status" });
    this.root = h("section", { class: "box pauses-box", "aria-labelledby": "pauses-heading", hidden: true },
      h("h2", { id: "pauses-heading" }, t("pause.title")), this.rows, this.buttons, this.said);
  }

  update(entry) {
    this.#entry = entry;
    const seen = JSON.stringify(KINDS.map((kind) => entry[`${kind}_pause`] ?? null));
    if (seen !== this.#seen) {
      this.#seen = seen;
      this.#build(entry);
    }
    this.tick();
  }

  /** Count down. */
  tick() {
    for (const row of this.rows.children) {
      const pause = this.#entry?.[`${row.dataset.kind}_pause`];
      if (pause) write(row.querySelector("time"), countdown(pause.until, clock.now()));
    }
  }

  #build(entry) {
    const paused = KINDS.filter((kind) => entry[`${kind}_pause`]);
    this.rows.replaceChildren(...paused.map((kind) => h("li", { dataset: { kind } },
      h("span", {}, h("strong", {}, t(`pause.${kind}`)), " ", h("time", {}), ` – ${pausedBy(entry[`${kind}_pause`])}`),
      this.may && h("button", { type: "button", onclick: () => this.#send(() => remove(this.#place(kind))) }, t("pause.end")))));
    const others = this.may ? KINDS.filter((kind) => !entry[`${kind}_pause`]).reverse() : [];
    this.buttons.replaceChildren(...others.map((kind) => h("button", {
      type: "button", dataset: { kind }, title: t(`pause.${kind}_hint`),
      onclick: () => this.#send(() => put(this.#place(kind), { seconds: SECONDS[kind] })),
    }, t(`pause.${kind}_start`, { minutes: SECONDS[kind] / 60 }))));
    this.root.hidden = !paused.length && !others.length;
  }

  #place(kind) {
    return `v1/patients/${part(this.patient)}/pauses/${kind}`;
  }

  async #send(request) {
    write(this.said, t("alarms.sending"));
    try {
      await request();
      write(this.said, "");
    } catch (refusal) {
      write(this.said, refusal.message);
    }
  }
}
