/* One patient on the ward view: name, urgency, each signal's value and course, and the most urgent alarm. */

import { offNames, offText } from "../patient/alarms-off.js";
import { attribute, badge, h, mark, write } from "../shared/dom.js";
import { age, number, percent, shortName, signalName, unit, value } from "../shared/format.js";
import { known, t } from "../shared/i18n.js";
import { off, scoreAge, silentInputs } from "../patient/news2.js";
import { isOld, present, rejected } from "../patient/reading.js";
import { PAIRS, PAIR_NAMES, recorded, rows, rowOf, signal, span } from "../shared/signals.js";
import { draw, follow } from "./sparkline.js";
import { byUrgency, calling, episode, standing } from "../shared/store.js";
import { pauses, pauseText, pausedBy } from "../alarms/silenced.js";
import { alarmName, ended, inputShort, lacking, presenceName, priorityName, who, whoLine, why } from "../alarms/words.js";

const MOST_ROWS = 5;

class Row {
  constructor(name, paired) {
    this.name = name;
    this.paired = paired;
    this.pair = paired ? PAIRS[name] : null;
    this.label = h("span", { class: "name", title: signalName(name) }, paired ? t(PAIR_NAMES[name]) : shortName(name));
    this.number = h("span", { class: "value" });
    this.unit = h("span", { class: "unit" }, unit(name));
    this.note = h("span", { class: "note" });
    this.off = h("span", { class: "alarms-off" });
    this.quality = h("span", { class: "quality", role: "img" }, h("i"), h("i"), h("i"));
    this.canvas = follow(h("canvas", { "aria-hidden": "true" }));
    this.root = h("div", { class: "row", dataset: { signal: name } },
      h("span", { class: "what" }, this.label, h("span", { class: "scale" }, this.unit, this.quality)),
      h("span", { class: "reading" }, this.number),
      h("span", { class: "course" }, this.canvas, this.off, this.note));
  }

  update(entry, now, alarms) {
    const reading = entry.signals[this.name];
    const second = this.paired ? entry.signals[this.pair] : null;
    const old = isOld(this.name, reading, now);
    const shown = value(this.name, present(this.name, reading));
    write(this.number, second ? `${shown}/${value(this.pair, present(this.pair, second))}` : shown);
    const doubtful = rejected(this.name, reading) || (second && rejected(this.pair, second));
    const here = alarms.filter((alarm) => rowOf(alarm.signal) === this.name || alarm.signal === this.name);
    const past = here.find((alarm) => !standing(alarm) && alarm.kind !== "technical");
    write(this.note, this.#note(entry, old, now) || (past ? ended(past) : ""));
    attribute(this.note, "title", this.note.textContent || null);
    const silenced = [this.name, this.pair].map((name) => name && offText(entry, name)).filter(Boolean).join("; ");
    write(this.off, silenced ? t("tile.alarms_off") : "");
    attribute(this.off, "title", silenced || null);
    mark(this.root, "old", old);
    mark(this.root, "fault", reading.s === "fault" || doubtful);
    mark(this.root, "ended", past);
    // A silent or faulty sensor must not make its old value stand out.
    const worst = here.find((alarm) => standing(alarm) && alarm.kind !== "technical");
    for (const priority of ["high", "medium", "low"]) mark(this.root, `alarm-${priority}`, worst?.priority === priority);
    const quality = old || doubtful ? 0 : reading.q;
    attribute(this.quality, "data-bars", String(Math.max(0, Math.min(3, Math.ceil((quality ?? 0) * 3 - 0.15)))));
    attribute(this.quality, "aria-label", t("tile.quality", { percent: percent(quality) }));
    attribute(this.quality, "title", t("tile.quality", { percent: percent(quality) }));
  }

  #note(entry, old, now) {
    const reading = entry.signals[this.name];
    const since = t("tile.old", { age: age((now - reading.t) / 1000) });
    if (old) return since;
    for (const name of [this.name, this.pair]) {
      const one = entry.signals[name];
      const refused = one && rejected(name, one);
      if (refused) return t("tile.not_believed", { value: value(name, refused.value) });
    }
    if (reading.s === "fault") return t("state.fault");
    return now - reading.t > (signal(this.name).kind === "glucose" ? 400000 : 120000) ? since : "";
  }

  draw(patient, entry, traces, limits, now) {
    const reading = entry.signals[this.name];
    draw(this.canvas, {
      trace: traces.of(patient, this.name), forecast: reading.f, at: reading.t, now, span: span(this.name), limits,
      old: isOld(this.name, reading, now), gap: 3000 * Math.max(signal(this.name).silence_s ?? 60, 20),
    });
  }
}

export class Tile {
  visible = false;
  dirty = true;
  more = 0;
  #rows = new Map();
  #layout = "";
  #alarm = "";

  constructor(patient) {
    this.patient = patient;
    this.bed = h("span", { class: "bed" });
    this.label = h("span", { class: "label" });
    this.score = h("span", { class: "score" });
    this.partial = h("span", { class: "partial" });
    this.body = h("div", { class: "rows" });
    this.paused = h("p", { class: "paused" });
    this.foot = h("div", { class: "foot" });
    this.link = h("a", { class: "open", href: `#/patient/${encodeURIComponent(patient)}` },
      h("h2", { class: "who" }, this.bed, this.label));
    this.root = h("article", { class: "tile", dataset: { patient } },
      h("header", {}, this.link, h("span", { class: "news" }, this.score, this.partial)), this.body, this.paused, this.foot);
  }

  /** Write the patient's name at once: the keyboard and screen readers also reach tiles that are not on screen. */
  name(entry) {
    const { bed, label } = who(this.patient, entry);
    write(this.bed, bed);
    write(this.label, label);
    attribute(this.link, "title", whoLine(this.patient, entry));
    attribute(this.link, "aria-label", t("tile.open", { label: whoLine(this.patient, entry) }));
  }

  /** Write what has changed; `draw` paints the canvases afterwards. */
  update(entry, now) {
    this.name(entry);
    this.#news(entry, now);
    const alarms = [...entry.alarms].sort(byUrgency);
    this.#arrange(entry, alarms);
    for (const row of this.#rows.values()) row.update(entry, now, alarms);
    this.#foot(entry, alarms, now);
    write(this.paused, pauseText(entry, now));
    attribute(this.paused, "title", pauses(entry).map(([, pause]) => pausedBy(pause)).join("; ") || null);
    const [worst] = alarms;
    for (const priority of ["high", "medium", "low"]) mark(this.root, priority, worst?.priority === priority);
    mark(this.root, "answered", worst && !alarms.some(calling));
  }

  #news(entry, now) {
    const { news2 } = entry;
    const risk = news2?.risk ?? "unknown";
    const old = scoreAge(entry, now);
    attribute(this.score, "data-risk", risk);
    mark(this.score, "old", old !== null);
    const texts = { score: number(news2?.score), age: age(old) };
    write(this.score, off(entry) ? t("news2.off_badge") : !news2 ? t("news2.none") : old === null ? t("news2.badge", texts) : t("news2.badge_old", texts));
    const meaning = off(entry) ? off(entry) : news2 ? known(`news2.risk.${risk}`, risk) : t("news2.none_long");
    attribute(this.score, "title", old === null ? meaning : `${meaning}. ${t("news2.old", texts)}`);
    const lacks = news2 ? lacking(news2) : "";
    const silent = old === null ? silentInputs(entry, now).filter(([input]) => !news2.stale.includes(input)) : [];
    const said = [lacks, ...silent.map(([input, since]) => t("news2.input_old", { input: inputShort(input), age: age(since) }))].filter(Boolean).join("; ");
    const adult = entry.adult_limits ? t("news2.adult_limits_short") : "";
    const missing = [adult, news2?.partial ? `${t("news2.partial")} – ${said}` : said].filter(Boolean).join("; ");
    write(this.partial, missing);
    attribute(this.partial, "title", missing || null);
  }

  #arrange(entry, alarms) {
    const names = Object.keys(entry.signals);
    const order = rows(names.filter((name) => Number.isFinite(entry.signals[name].v ?? entry.signals[name].m)));
    // If not all rows fit, those with alarms come first; the others follow in the usual order.
    const alarmed = order.filter((name) => alarms.some((alarm) => rowOf(alarm.signal) === name || alarm.signal === name));
    const others = order.filter((name) => !alarmed.includes(name)).slice(0, Math.max(0, MOST_ROWS - alarmed.length));
    const kept = order.filter((name) => alarmed.includes(name) || others.includes(name));
    const layout = `${kept.join()}|${order.length}|${names.length}`;
    if (layout === this.#layout) return;
    this.#layout = layout;
    this.#rows = new Map(kept.map((name) => [name, this.#rows.get(name) ?? new Row(name, PAIRS[name] in entry.signals)]));
    this.more = order.length - kept.length;
    const none = kept.length || names.some((name) => recorded(name)) ? null : h("p", { class: "none" }, t("tile.none"));
    this.body.replaceChildren(...[...this.#rows.values()].map((row) => row.root), ...(none ? [none] : []));
  }

  #foot(entry, alarms, now) {
    const [first] = alarms;
    const reason = first ? why(first, entry, now) : "";
    // An unacknowledged alarm must not be hidden by a more urgent acknowledged one.
    const next = first && !calling(first) ? alarms.find(calling) : null;
    const states = alarms.map((alarm) => `${episode(alarm)}${alarm.presence}${alarm.priority}`);
    const silenced = offNames(entry);
    const shown = first ? `${states}${reason}${first.by}` : `none${this.more}${silenced}`;
    if (shown === this.#alarm) return;
    this.#alarm = shown;
    if (!first) {
      const more = this.more > 0 ? ` · ${t("tile.more", { count: this.more })}` : "";
      this.foot.replaceChildren(h("span", { class: "calm" }, `${silenced ? t("tile.alarms_off_of", { signals: silenced }) : t("tile.no_alarm")}${more}`));
      return;
    }
    const name = alarmName(first);
    this.foot.replaceChildren(
      badge(first.priority, !calling(first), priorityName(first.priority)),
      h("span", { class: "text" }, h("strong", { title: name }, name), h("span", { class: "why", title: reason }, reason)),
      ...(first.presence === "acknowledged" ? [h("span", { class: "answered", title: presenceName(first) }, t("tile.acknowledged"))] : []),
      ...(alarms.length > 1 ? [this.#others(alarms.length - 1, next)] : []));
  }

  #others(count, next) {
    const said = [next ? `${priorityName(next.priority)}: ${alarmName(next)}` : "", t("tile.more_alarms", { count })].filter(Boolean).join(" – ");
    return h("span", { class: "others", title: said },
      ...(next ? [badge(next.priority, false, priorityName(next.priority))] : []), h("span", { "aria-hidden": "true" }, `+${count}`),
      h("span", { class: "unseen" }, said));
  }

  draw(entry, traces, limits, now) {
    for (const row of this.#rows.values()) {
      if (entry.signals[row.name]) row.draw(this.patient, entry, traces, limits(this.patient, row.name), now);
    }
  }

  /** The signals shown: only their history is requested. */
  get shown() {
    return [...this.#rows.keys()];
  }
}
