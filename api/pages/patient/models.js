/* What models of the site's own tell of the patient. Where there is none, nothing is shown. */

import * as clock from "../shared/clock.js";
import { h, write } from "../shared/dom.js";
import { age, number, signalName } from "../shared/format.js";
import { known, t } from "../shared/i18n.js";

const MOST_DECIMALS = 4;

const words = (name) => name.replaceAll("_", " ");

/** As many decimals as leave `digits` significant ones. */
function places(amount, digits) {
  if (!(Math.abs(amount) > 0)) return 0;
  return Math.min(MOST_DECIMALS, Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(amount)))));
}

/** "0.75", "118 ± 4 mg/dL": the spread says how many decimals a value is worth. */
export function quantity(mean, sd, unit) {
  const spread = Number.isFinite(sd) && sd !== null;
  const decimals = spread && sd > 0 ? places(sd, 2) : places(mean, 3);
  const amount = spread ? t("models.with_spread", { value: number(mean, decimals), sd: number(sd, decimals) }) : number(mean, decimals);
  const symbol = unit === "1" || unit.startsWith("{") ? "" : known(`unit.${unit}`, unit);
  return symbol ? `${amount}\u00a0${symbol}` : amount;
}

export class Models {
  #shown = "";
  #ages = [];

  constructor() {
    this.rows = h("tbody");
    const column = (key) => h("th", { scope: "col" }, t(key));
    this.root = h("section", { class: "box models", "aria-labelledby": "models-heading", hidden: true },
      h("h2", { id: "models-heading" }, t("models.title")),
      h("table", {}, h("thead", {}, h("tr", {}, column("models.quantity"), column("models.value"), column("models.age"))), this.rows),
      h("p", { class: "small" }, t("models.hint")));
  }

  update({ models = [] }) {
    const told = models.filter(({ outputs }) => outputs.length);
    const text = JSON.stringify(told);
    if (text !== this.#shown) {
      this.#shown = text;
      this.root.hidden = !told.length;
      this.#ages = [];
      this.rows.replaceChildren(...told.flatMap((model) => this.#model(model)));
    }
    this.tick();
  }

  #model({ model, signal, t: at, outputs }) {
    const whose = signal ? `${model}, ${signalName(signal)}` : model;
    return outputs.map(([name, unit, mean, sd]) => {
      const old = h("td", { class: "age" });
      this.#ages.push([old, at]);
      return h("tr", {}, h("th", { scope: "row" }, words(name), h("span", { class: "small" }, whose)),
        h("td", {}, quantity(mean, sd, unit)), old);
    });
  }

  tick() {
    for (const [cell, at] of this.#ages) write(cell, age((clock.now() - at) / 1000));
  }
}
