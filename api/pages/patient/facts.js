/* Chart what no sensor measures: oxygen and consciousness. */

import { h, write } from "../shared/dom.js";
import { measure } from "../shared/format.js";
import { post } from "../shared/http.js";
import { known, t } from "../shared/i18n.js";
import { read } from "./numeral.js";

const LEVELS = ["A", "C", "V", "P", "U"];
const HIGHEST_FLOW = 80;

function radio(group, value, text, onchange) {
  return h("label", { class: "choice" }, h("input", { type: "radio", name: group, value, onchange }), h("span", {}, text));
}

export class Facts {
  constructor(patient, may) {
    this.patient = patient;
    this.charted = h("p", { class: "charted" });
    this.root = h("section", { class: "box facts", "aria-labelledby": "facts-heading" },
      h("h2", { id: "facts-heading" }, t("facts.title")), this.charted, ...(may ? [this.#oxygen(), this.#consciousness()] : []));
  }

  update({ oxygen, consciousness }) {
    const air = oxygen === null || oxygen === undefined ? t("facts.now_none")
      : oxygen > 0 ? t("facts.now_oxygen", { flow: measure("oxygen_flow", oxygen) }) : t("facts.now_air");
    const mind = consciousness
      ? t("facts.now_consciousness", { value: known(`consciousness.${consciousness}`, consciousness) }) : t("facts.now_none");
    write(this.charted, `${t("facts.oxygen")}: ${air} ${t("facts.consciousness")}: ${mind}`);
  }

  #oxygen() {
    const flow = h("input", { type: "text", id: "flow", inputMode: "decimal", autocomplete: "off", maxLength: 8 });
    const choose = () => { flow.disabled = form.elements.oxygen.value !== "on"; };
    const said = h("p", { class: "said", role: "status" });
    const form = h("form", { noValidate: true, onsubmit: (event) => {
      event.preventDefault();
      const chosen = form.elements.oxygen.value;
      if (!chosen) return;
      const value = chosen === "on" ? read(flow.value).amount : 0;
      if (chosen === "on" && !(value > 0 && value <= HIGHEST_FLOW)) {
        write(said, t("facts.flow_needed"));
        flow.focus();
        return;
      }
      this.#send({ kind: "oxygen", value, unit: "L/min" }, said);
    } }, h("fieldset", {}, h("legend", {}, t("facts.oxygen")),
      radio("oxygen", "air", t("facts.air"), choose), radio("oxygen", "on", t("facts.on_oxygen"), choose),
      h("label", { class: "flow", for: "flow" }, t("facts.flow"), flow)),
    h("button", { type: "submit" }, t("facts.save")), said);
    flow.disabled = true;
    return form;
  }

  #consciousness() {
    const said = h("p", { class: "said", role: "status" });
    const form = h("form", { onsubmit: (event) => {
      event.preventDefault();
      const value = form.elements.consciousness.value;
      if (value) this.#send({ kind: "consciousness", value }, said);
    } }, h("fieldset", {}, h("legend", {}, t("facts.consciousness")),
      ...LEVELS.map((level) => radio("consciousness", level, t(`consciousness.${level}`)))),
    h("button", { type: "submit" }, t("facts.save")), said);
    return form;
  }

  async #send(fact, said) {
    write(said, t("alarms.sending"));
    try {
      await post("v1/facts", { patient: this.patient, ...fact });
      write(said, t("facts.saved"));
    } catch (refusal) {
      write(said, refusal.message);
    }
  }
}
