/* An alarm as a card: badge, name, patient, reason, age, the button to acknowledge it, and its full explanation. */

import * as clock from "../shared/clock.js";
import { badge, h, write } from "../shared/dom.js";
import { causeId, isCause } from "./causes.js";
import { sentences } from "./explain.js";
import { address } from "../forecasts/forecasts.js";
import { address as momentOf } from "../moment/moment.js";
import { age, number, shortTime } from "../shared/format.js";
import { part, post, put, remove } from "../shared/http.js";
import { t } from "../shared/i18n.js";
import { calling, episode, flashing } from "../shared/store.js";
import { notes } from "./silenced.js";
import { alarmName, calls, presenceName, priorityName, why } from "./words.js";

const PAUSE_S = 120;

/** Ask the service to acknowledge. The card changes when the transition comes back, on every screen at once. */
async function acknowledge(alarms, button, error) {
  const label = button.textContent;
  button.disabled = true;
  write(button, t("alarms.sending"));
  write(error, "");
  try {
    if (alarms.length === 1) await post(`v1/alarms/${part(episode(alarms[0]))}/acknowledge`);
    else await post("v1/alarms/acknowledge", { alarms: alarms.map(episode) });
  } catch (refusal) {
    write(error, refusal.message);
    button.disabled = false;
    write(button, label);
  }
}

/** Ask for something else about an alarm. */
async function ask(request, error) {
  write(error, "");
  try {
    await request();
  } catch (refusal) {
    write(error, refusal.message);
  }
}

/**
 * A card that stays in place while its alarm changes. `label` names the patient (empty on the patient's own page);
 * `may` says whether this person may acknowledge; `open` shows the explanation at once; `entry` returns the patient's
 * current entry, so that the card shows the present and not only the onset; `members` the alarms that are shown under it.
 */
export class Card {
  constructor(alarm, { label = "", may = false, open = false, entry = () => null, members = () => [] } = {}) {
    this.entry = entry;
    this.members = members;
    this.may = may;
    this.label = label;
    this.open = open;
    this.root = h("li", { class: "card" });
    this.since = h("span", { class: "since" });
    this.why = h("p", { class: "why" });
    this.calls = h("p", { class: "state calls" });
    this.notes = h("p", { class: "state notes" });
    this.update(alarm);
  }

  update(alarm) {
    const state = `${alarm.number ?? ""}|${alarm.presence}${alarm.priority}${alarm.time}${alarm.value}${this.#waiting(alarm).length}`;
    const changed = state !== this.state;
    this.alarm = alarm;
    this.state = state;
    if (changed) this.#build();
    this.tick();
  }

  tick() {
    write(this.why, why(this.alarm, this.entry(), clock.now()));
    write(this.calls, calls(this.alarm));
    write(this.notes, notes(this.alarm).join(" · "));
    write(this.since, t("alarms.since", { age: age((clock.now() - this.alarm.onset) / 1000) }));
  }

  /** This alarm and those shown under it, as far as nobody has acknowledged them. */
  #waiting(alarm) {
    const under = this.members(alarm).filter((one) => one.presence === "on" || one.presence === "latched");
    return calling(alarm) ? [alarm, ...under] : [];
  }

  #build() {
    const { alarm } = this;
    const error = h("p", { class: "error", role: "status" });
    const name = alarmName(alarm);
    const expanded = this.details?.open ?? this.open;
    this.details = h("details", { open: expanded, ontoggle: () => this.#explain() },
      h("summary", {}, t("explain.title")), h("ul", { class: "sentences" }));
    const several = this.#waiting(alarm).length;
    const button = this.may && calling(alarm) && h("button", {
      class: "acknowledge", type: "button", "aria-label": t("alarms.acknowledge_one", { alarm: name, label: this.label }),
      onclick: () => acknowledge(this.#waiting(this.alarm), button, error),
    }, several > 1 ? t("alarms.acknowledge_group", { count: number(several) }) : t("alarms.acknowledge"));
    const others = this.may && calling(alarm) ? this.#others(name, error) : [];
    this.root.className = `card ${alarm.priority} ${alarm.presence}${alarm.under ? " under" : ""}`;
    this.root.dataset.alarm = episode(alarm);
    this.root.dataset.presence = alarm.presence;
    this.root.replaceChildren(
      badge(alarm.priority, !flashing(alarm), priorityName(alarm.priority)),
      h("div", { class: "said" },
        this.label && h("a", { class: "whom", href: `#/patient/${encodeURIComponent(alarm.patient)}` }, this.label),
        h("strong", {}, name), this.why,
        h("p", { class: "state" }, presenceName(alarm), " · ", this.since), this.notes, this.calls),
      this.details, ...(button ? [button] : []), ...others, error);
    this.#explain();
  }

  /** "I take it", and the pause of this alarm's sound. */
  #others(name, error) {
    const place = `v1/alarms/${part(episode(this.alarm))}`;
    const paused = this.alarm.audio_paused_until > clock.now();
    return [h("div", { class: "answers" },
      ...(this.alarm.responder ? [] : [h("button", {
        type: "button", class: "take", "aria-label": t("alarms.take_one", { alarm: name, label: this.label }),
        onclick: () => ask(() => post(`${place}/take`), error),
      }, t("alarms.take"))]),
      h("button", {
        type: "button", class: "pause",
        onclick: () => ask(() => (paused ? remove(`${place}/pauses/audio`) : put(`${place}/pauses/audio`, { seconds: PAUSE_S })), error),
      }, paused ? t("pause.end") : t("alarms.pause_one")))];
  }

  #explain() {
    if (!this.details.open) return;
    const { condition, signal, ward } = this.alarm;
    const record = condition.startsWith("predicted.") && signal
      ? [h("li", {}, h("a", { href: address(signal, ward || "*") }, t("forecasts.link")))] : [];
    this.details.lastChild.replaceChildren(...sentences(this.alarm).map((sentence) => h("li", {}, sentence)), ...record,
      h("li", {}, h("a", { class: "reopen", href: momentOf(episode(this.alarm)) }, t("moment.reopen"))));
  }
}

/** One transition as a line of the event list. */
export function line(alarm, label) {
  return h("li", { class: "event", dataset: { transition: `${episode(alarm)}|${alarm.presence}` } },
    h("time", { dateTime: new Date(alarm.time).toISOString() }, h("a", {
      class: "reopen", href: momentOf(episode(alarm)), title: t("moment.reopen"),
    }, shortTime(alarm.time))),
    badge(alarm.priority, true, priorityName(alarm.priority)),
    h("span", {}, h("a", { href: `#/patient/${encodeURIComponent(alarm.patient)}` }, label), " ", alarmName(alarm),
      h("span", { class: "presence" }, presenceName(alarm))));
}

/** Many events that the service has counted, as a line of the event list. */
export function digestLine(digest) {
  const groups = digest.groups.slice(0, 5).map(({ condition, count }) => t("alarms.digest_group", {
    count: number(count), alarm: alarmName({ condition, signal: "" }),
  }));
  return h("li", { class: "event", dataset: { digest: String(digest.offset) } },
    h("time", { dateTime: new Date(digest.time).toISOString() }, shortTime(digest.time)),
    h("span", {}, t("alarms.digest", { count: number(digest.count), amount: digest.count }),
      h("span", { class: "presence" }, groups.join(" · "))));
}

/** Keep a list's cards in step with the alarms. The same alarm keeps its card, so focus and open explanations stay. */
export function keep(list, cards, alarms, make) {
  const wanted = new Map(alarms.map((alarm) => [isCause(alarm) ? causeId(alarm) : episode(alarm), alarm]));
  for (const [id, card] of cards) {
    if (wanted.has(id)) continue;
    card.root.remove();
    cards.delete(id);
  }
  const focused = list.contains(document.activeElement) ? document.activeElement : null;
  let place = list.firstElementChild;
  for (const [id, alarm] of wanted) {
    if (cards.has(id)) cards.get(id).update(alarm);
    else cards.set(id, make(alarm));
    const { root } = cards.get(id);
    if (root === place) place = place.nextElementSibling;
    else list.insertBefore(root, place);
  }
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}
