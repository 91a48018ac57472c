/* Suggested limits: what they would have meant for this patient's alarms. A person has to accept one. */

import { h, write } from "../shared/dom.js";
import { limitMeasure, number, signalName } from "../shared/format.js";
import { get, part } from "../shared/http.js";
import { t } from "../shared/i18n.js";

const HOURS = 8;

/** `accept(changes)` sets limits and resolves when they are in force. */
export class Suggestions {
  constructor(patient, accept) {
    this.patient = patient;
    this.accept = accept;
    this.list = h("ul", { class: "suggestions" });
    this.said = h("p", { class: "small", role: "status" });
    this.button = h("button", { type: "button", class: "plain", onclick: () => this.#ask() }, t("suggest.ask"));
    this.root = h("div", { class: "suggest" }, this.button, this.said, this.list);
  }

  anew() {
    write(this.said, "");
    this.list.replaceChildren();
  }

  async #ask() {
    this.button.disabled = true;
    write(this.said, t("suggest.asking"));
    this.list.replaceChildren();
    try {
      const { items } = await get(`v1/patients/${part(this.patient)}/limit-suggestions?hours=${HOURS}`);
      write(this.said, items.length ? "" : t("suggest.none", { hours: number(HOURS) }));
      this.list.replaceChildren(...items.map((one) => this.#item(one)));
    } catch (refusal) {
      write(this.said, refusal.message);
    }
    this.button.disabled = false;
  }

  #item(one) {
    const { signal, bound, present, suggested, alarms_present: before, alarms_suggested: after, sustained } = one;
    const texts = {
      limit: t("limits.field", { signal: signalName(signal), limit: t(`limit.${bound}`) }), value: limitMeasure(signal, suggested),
      present: limitMeasure(signal, present), after: number(after), before: number(before), hours: number(HOURS),
    };
    const lasting = sustained ? t("suggest.none_missed", { count: number(sustained), amount: sustained }) : t("suggest.none_lasted");
    const button = h("button", { type: "button", onclick: () => this.#accept(one, item, button) }, t("suggest.accept", texts));
    const item = h("li", {}, h("p", {}, t("suggest.said", texts), " ", lasting), button);
    return item;
  }

  async #accept({ signal, bound, suggested }, item, button) {
    button.disabled = true;
    if (await this.accept({ [signal]: { [bound]: suggested } })) item.remove();
    else button.disabled = false;
  }
}
