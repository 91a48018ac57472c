/* An alarm reopened: each change in a sentence, with the twin's state as it was then and the readings around it. */

import { sentences } from "../alarms/explain.js";
import { alarmName, priorityName } from "../alarms/words.js";
import * as clock from "../shared/clock.js";
import { badge, h, write } from "../shared/dom.js";
import { measure, moment as momentText, number, percent, signalName } from "../shared/format.js";
import { get, millis, part } from "../shared/http.js";
import { language, t } from "../shared/i18n.js";
import { picture } from "./picture.js";

export const address = (alarm) => `#/moment/${part(alarm)}`;

/** An alarm of an HTTP answer as the pages know it: times in milliseconds. */
const own = (one) => ({ ...one, onset: millis(one.onset), time: millis(one.time) });

function facts(moment) {
  const { signal, mean, sd, quality, source } = moment;
  const said = [t(`moment.source.${source}`)];
  if (Number.isFinite(mean)) {
    const band = Number.isFinite(sd) ? ` ± ${number(2 * sd, sd < 5 ? 1 : 0)}` : "";
    said.push(t("moment.estimate", { signal: signalName(signal), value: `${measure(signal, mean)}${band}` }));
  }
  if (Number.isFinite(quality)) said.push(t("moment.quality", { quality: percent(quality) }));
  return said;
}

export class MomentPage {
  #closed = false;

  constructor(alarm) {
    this.alarm = alarm;
    this.heading = h("h1", {}, t("moment.title"));
    this.whose = h("p", { class: "where" });
    this.said = h("p", { class: "small", role: "status" }, t("moment.loading"));
    this.changes = h("ol", { class: "moments" });
    this.root = h("section", { class: "moment" },
      h("div", { class: "patient-head" }, h("a", { class: "back", href: "#/ward" }, t("nav.back")), this.heading, this.whose),
      this.said, this.changes);
    this.#load();
  }

  async #load() {
    let answer;
    try {
      answer = await get(`v1/alarms/${part(this.alarm)}?moment=true`);
    } catch (refusal) {
      write(this.said, refusal.message);
      return;
    }
    if (!this.#closed) this.#show(answer);
  }

  #show({ alarm, transitions, sentences: plain, moments }) {
    write(this.heading, t("moment.of", { alarm: alarmName(own(alarm)) }));
    this.whose.replaceChildren(h("a", { href: `#/patient/${encodeURIComponent(alarm.patient)}` }, t("moment.patient", { patient: alarm.patient })));
    write(this.said, t("moment.changes", { count: number(transitions.length), amount: transitions.length }));
    this.changes.replaceChildren(...transitions.map((one, place) => (
      this.#change(own(one), plain[place], (moments ?? []).filter((moment) => moment.transition === one.transition)))));
  }

  #change(one, plain, moments) {
    const said = plain[language] ?? plain.en;
    return h("li", { class: "box", dataset: { transition: one.transition } },
      h("h2", {}, badge(one.priority, true, priorityName(one.priority)), " ", said),
      h("p", { class: "small" }, momentText(one.time, clock.now())),
      ...moments.map((moment) => this.#moment(moment, moment.signal === one.signal ? one.limit : null)),
      h("details", {}, h("summary", {}, t("explain.title")), h("ul", { class: "sentences" }, ...sentences(one).map((text) => h("li", {}, text)))));
  }

  #moment(moment, limit) {
    const words = facts(moment);
    const drawn = picture(moment, limit, t("moment.picture", { signal: signalName(moment.signal), facts: words.join(" ") }));
    return h("figure", {}, ...(drawn ? [drawn] : []), h("figcaption", { class: "small" }, words.join(" ")));
  }

  /** The past does not change while a connection is lost. */
  reopen() { /* Nothing to load again. */ }

  refuse() { /* Only a patient's page is refused. */ }

  close() {
    this.#closed = true;
  }
}
