/* Whether a patient has a NEWS2 score: the patient's age and the clinician's decision. */

import { h, write } from "../shared/dom.js";
import { get, part, patch } from "../shared/http.js";
import { t } from "../shared/i18n.js";

export class Scoring {
  constructor(patient) {
    this.patient = patient;
    this.age = h("input", { name: "age", type: "number", min: "0", max: "130", step: "1", inputMode: "numeric", autocomplete: "off" });
    this.choice = h("select", { name: "scored" },
      ...["by_ward", "true", "false"].map((value) => h("option", { value }, t(`scoring.${value}`))));
    this.said = h("p", { class: "said", role: "status" });
    this.root = h("details", { class: "scoring", ontoggle: () => this.root.open && this.#load() },
      h("summary", {}, t("scoring.open")),
      h("form", { onsubmit: (event) => {
        event.preventDefault();
        this.#save();
      } },
      h("label", {}, t("scoring.age"), this.age), h("label", {}, t("scoring.choice"), this.choice),
      h("p", { class: "small" }, t("scoring.hint")), h("button", { type: "submit" }, t("scoring.save"))), this.said);
  }

  async #load() {
    write(this.said, "");
    this.age.disabled = this.choice.disabled = true; /* The fields stay locked until the answer: it would overwrite what is typed before. */
    try {
      this.#show(await get(`v1/patients/${part(this.patient)}`));
    } catch (refusal) {
      write(this.said, refusal.message);
    }
  }

  #show(patient) {
    this.shown = { age: patient.age_years, scored: patient.news2 === null ? "by_ward" : String(patient.news2) };
    this.age.value = patient.age_years ?? "";
    this.age.disabled = this.choice.disabled = false;
    this.choice.value = this.shown.scored;
  }

  /** Only the changed fields: a date of birth entered elsewhere stays. */
  async #save() {
    const changes = {};
    const years = this.age.value === "" ? null : Number(this.age.value);
    if (years !== null && years !== this.shown?.age) changes.age_years = years;
    if (this.choice.value !== this.shown?.scored) changes.news2 = this.choice.value === "by_ward" ? "by_ward" : this.choice.value === "true";
    if (!Object.keys(changes).length) {
      write(this.said, t("limits.unchanged"));
      return;
    }
    write(this.said, t("alarms.sending"));
    try {
      this.#show(await patch(`v1/patients/${part(this.patient)}`, changes));
      write(this.said, t("scoring.saved"));
    } catch (refusal) {
      write(this.said, refusal.message);
    }
  }
}
