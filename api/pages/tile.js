/* One patient on the ward view: who, how urgent, each signal's value and course, and the foremost alarm. */

import { attribute, badge, h, mark, write } from "./dom.js";
import { age, number, percent, shortName, signalName, unit, value } from "./format.js";
import { known, t } from "./i18n.js";
import { PAIRS, PAIR_NAMES, recorded, rows, rowOf, signal, span } from "./signals.js";
import { draw, follow } from "./sparkline.js";
import { byUrgency, calling, episode } from "./store.js";
import { alarmName, lacking, presenceName, priorityName, who, whoLine, why } from "./words.js";

const MOST_ROWS = 5;

/** A reading counts as old when the twin says silent, or when it is older than the signal's silence allows; none is not old. */
export function isOld(name, reading, now) {
  if (reading.s === "silent" || reading.t === null) return reading.s === "silent";
  return now - reading.t > 1000 * Math.max(signal(name).silence_s ?? 60, 60) * 1.5;
}

class Row {
  constructor(name, paired) {
    this.name = name;
    this.paired = paired;
    this.label = h("span", { class: "name", title: signalName(name) }, paired ? t(PAIR_NAMES[name]) : shortName(name));
    this.number = h("span", { class: "value" });
    this.unit = h("span", { class: "unit" }, unit(name));
    this.note = h("span", { class: "note" });
    this.quality = h("span", { class: "quality", role: "img" }, h("i"), h("i"), h("i"));
    this.canvas = follow(h("canvas", { "aria-hidden": "true" }));
    this.root = h("div", { class: "row", dataset: { signal: name } },
      h("span", { class: "what" }, this.label, h("span", { class: "scale" }, this.unit, this.quality)),
      h("span", { class: "reading" }, this.number),
      h("span", { class: "course" }, this.canvas, this.note));
  }

  update(entry, now, alarms) {
    const reading = entry.signals[this.name];
    const second = this.paired ? entry.signals[PAIRS[this.name]] : null;
    const old = isOld(this.name, reading, now);
    const shown = Number.isFinite(reading.v) ? reading.v : reading.m;
    write(this.number, second ? `${value(this.name, shown)}/${value(this.name, second.v)}` : value(this.name, shown));
    write(this.note, this.#note(reading, old, now));
    mark(this.root, "old", old);
    mark(this.root, "fault", reading.s === "fault");
    const worst = alarms.find((alarm) => rowOf(alarm.signal) === this.name || alarm.signal === this.name);
    for (const priority of ["high", "medium", "low"]) mark(this.root, `alarm-${priority}`, worst?.priority === priority);
    const bars = old ? 0 : Math.ceil((reading.q ?? 0) * 3 - 0.15);
    attribute(this.quality, "data-bars", String(Math.max(0, Math.min(3, bars))));
    attribute(this.quality, "aria-label", t("tile.quality", { percent: percent(old ? 0 : reading.q) }));
    attribute(this.quality, "title", t("tile.quality", { percent: percent(old ? 0 : reading.q) }));
  }

  #note(reading, old, now) {
    if (old) return t("tile.old", { age: age((now - reading.t) / 1000) });
    if (reading.s === "fault") return t("state.fault");
    if (now - reading.t > (signal(this.name).kind === "glucose" ? 400000 : 120000)) return t("tile.old", { age: age((now - reading.t) / 1000) });
    return "";
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
    this.foot = h("div", { class: "foot" });
    this.link = h("a", { class: "open", href: `#/patient/${encodeURIComponent(patient)}` },
      h("h2", { class: "who" }, this.bed, this.label));
    this.root = h("article", { class: "tile", dataset: { patient } },
      h("header", {}, this.link, h("span", { class: "news" }, this.score, this.partial)), this.body, this.foot);
  }

  /** Write whose tile it is: from the start, as the keyboard and screen readers reach tiles that are not on screen. */
  name(entry) {
    const { bed, label } = who(this.patient, entry);
    write(this.bed, bed);
    write(this.label, label);
    attribute(this.link, "title", whoLine(this.patient, entry));
    attribute(this.link, "aria-label", t("tile.open", { label: whoLine(this.patient, entry) }));
  }

  /** Write what changed; `draw` paints the canvases afterwards. */
  update(entry, now) {
    this.name(entry);
    this.#news(entry.news2);
    const alarms = [...entry.alarms].sort(byUrgency);
    this.#arrange(entry, alarms);
    for (const row of this.#rows.values()) row.update(entry, now, alarms);
    this.#foot(alarms);
    const worst = alarms.find(calling);
    for (const priority of ["high", "medium", "low"]) mark(this.root, priority, worst?.priority === priority);
  }

  #news(news2) {
    const risk = news2?.risk ?? "unknown";
    attribute(this.score, "data-risk", risk);
    write(this.score, news2 ? t("news2.badge", { score: number(news2.score) }) : t("news2.none"));
    attribute(this.score, "title", news2 ? known(`news2.risk.${risk}`, risk) : t("news2.none_long"));
    const lacks = news2 ? lacking(news2) : "";
    const missing = news2?.partial ? `${t("news2.partial")} – ${lacks}` : lacks;
    write(this.partial, missing);
    attribute(this.partial, "title", missing || null);
  }

  #arrange(entry, alarms) {
    const names = Object.keys(entry.signals);
    const order = rows(names.filter((name) => Number.isFinite(entry.signals[name].v ?? entry.signals[name].m)));
    const alarmed = new Set(alarms.map((alarm) => rowOf(alarm.signal)));
    const kept = order.length <= MOST_ROWS ? order
      : order.filter((name, i) => alarmed.has(name) || i < MOST_ROWS).slice(0, Math.max(MOST_ROWS, alarmed.size));
    const layout = `${kept.join()}|${order.length}|${names.length}`;
    if (layout === this.#layout) return;
    this.#layout = layout;
    this.#rows = new Map(kept.map((name) => [name, this.#rows.get(name) ?? new Row(name, PAIRS[name] in entry.signals)]));
    this.more = order.length - kept.length;
    const none = kept.length || names.some((name) => recorded(name)) ? null : h("p", { class: "none" }, t("tile.none"));
    this.body.replaceChildren(...[...this.#rows.values()].map((row) => row.root), ...(none ? [none] : []));
  }

  #foot(alarms) {
    const first = alarms[0];
    const shown = first ? `${episode(first)}${first.presence}${first.priority}${why(first)}${alarms.length}` : `none${this.more}`;
    if (shown === this.#alarm) return;
    this.#alarm = shown;
    if (!first) {
      const more = this.more > 0 ? ` · ${t("tile.more", { count: this.more })}` : "";
      this.foot.replaceChildren(h("span", { class: "calm" }, `${t("tile.no_alarm")}${more}`));
      return;
    }
    const quiet = !calling(first);
    const reason = quiet || first.presence === "latched" ? `${why(first)} – ${presenceName(first)}` : why(first);
    this.foot.replaceChildren(
      badge(first.priority, quiet, priorityName(first.priority)),
      h("span", { class: "text" }, h("strong", {}, alarmName(first)), h("span", { class: "why", title: reason }, reason)),
      ...(alarms.length > 1
        ? [h("span", { class: "others", title: t("tile.more_alarms", { count: alarms.length - 1 }) }, `+${alarms.length - 1}`,
          h("span", { class: "unseen" }, t("tile.more_alarms", { count: alarms.length - 1 })))] : []));
  }

  draw(entry, traces, limits, now) {
    for (const row of this.#rows.values()) {
      if (entry.signals[row.name]) row.draw(this.patient, entry, traces, limits(this.patient, row.name), now);
    }
  }

  /** The signals shown: the ones whose history is worth asking for. */
  get shown() {
    return [...this.#rows.keys()];
  }
}
