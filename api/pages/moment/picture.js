/* A signal around one change of an alarm: readings, the limit, the twin's estimate, and the forecast it made then. */

import { limitMeasure, shortTime, value } from "../shared/format.js";
import { t } from "../shared/i18n.js";
import { millis } from "../shared/http.js";

const SPACE = "http://www.w3.org/2000/svg";
const [LEFT, TOP, WIDTH, HEIGHT, BELOW] = [52, 10, 520, 190, 28];
const [BEFORE_MS, AFTER_MS] = [300000, 900000];

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, given] of Object.entries(attributes)) element.setAttribute(name, given);
  element.append(...children);
  return element;
}

/** The places of the lowest, middle and highest quantile. */
const edges = (count) => [0, Math.floor(count / 2), count - 1];

/** The forecast as [{at, low, mid, high}], as far as the picture reaches. */
function fan({ horizons_min: horizons, forecast }, at) {
  return forecast.map((row, place) => {
    const [low, mid, high] = edges(row.length).map((one) => row[one]);
    return { at: at + horizons[place] * 60000, low, mid, high };
  }).filter(({ at: when, low, high }) => when <= at + AFTER_MS && Number.isFinite(low) && Number.isFinite(high));
}

/** `limit` is null where the change has none; `label` says in words what is to be seen. */
export function picture(moment, limit, label) {
  const at = millis(moment.time);
  const readings = moment.reading_time.map((time, place) => [millis(time), moment.reading_value[place]])
    .filter(([time, reading]) => Number.isFinite(reading) && time >= at - BEFORE_MS && time <= at + AFTER_MS);
  const ahead = fan(moment, at);
  const known = Number.isFinite(moment.mean) && Number.isFinite(moment.sd);
  const levels = [...readings.map(([, reading]) => reading), ...ahead.flatMap(({ low, high }) => [low, high]),
    ...(known ? [moment.mean - 2 * moment.sd, moment.mean + 2 * moment.sd] : []), ...(Number.isFinite(limit) ? [limit] : [])];
  if (!levels.length) return null;
  const [low, high] = [Math.min(...levels), Math.max(...levels)];
  const room = Math.max(0.08 * (high - low), 1);
  const across = (time) => LEFT + ((time - at + BEFORE_MS) / (BEFORE_MS + AFTER_MS)) * WIDTH;
  const down = (level) => TOP + ((high + room - level) / (high - low + 2 * room)) * HEIGHT;
  const place = (time, level) => `${across(time).toFixed(1)},${down(level).toFixed(1)}`;
  const start = known ? [{ at, low: moment.mean - 2 * moment.sd, mid: moment.mean, high: moment.mean + 2 * moment.sd }] : [];
  const band = [...start, ...ahead];
  const outline = [...band.map((one) => place(one.at, one.high)), ...[...band].reverse().map((one) => place(one.at, one.low))];
  const ticks = [at - BEFORE_MS, at, at + AFTER_MS / 3, at + (2 * AFTER_MS) / 3];
  return svg("svg", { class: "moment-picture", viewBox: `0 0 ${LEFT + WIDTH + 10} ${TOP + HEIGHT + BELOW}`, role: "img", "aria-label": label },
    svg("line", { class: "ground", x1: LEFT, x2: LEFT + WIDTH, y1: TOP + HEIGHT, y2: TOP + HEIGHT }),
    ...[low, high].map((level) => svg("text", { x: LEFT - 6, y: down(level) + 4, "text-anchor": "end" }, value(moment.signal, level))),
    ...ticks.map((time) => svg("text", { x: across(time), y: TOP + HEIGHT + 18, "text-anchor": "middle" }, shortTime(time))),
    ...(band.length > 1 ? [svg("polygon", { class: "fan", points: outline.join(" ") }),
      svg("polyline", { class: "middle", points: band.map((one) => place(one.at, one.mid)).join(" ") })] : []),
    ...(Number.isFinite(limit) ? [svg("line", { class: "limit", x1: LEFT, x2: LEFT + WIDTH, y1: down(limit), y2: down(limit) },
      svg("title", {}, t("moment.limit", { value: limitMeasure(moment.signal, limit) })))] : []),
    svg("line", { class: "then", x1: across(at), x2: across(at), y1: TOP, y2: TOP + HEIGHT }),
    ...readings.map(([time, reading]) => svg("circle", { class: "reading", cx: across(time).toFixed(1), cy: down(reading).toFixed(1), r: 2 })),
    ...(known ? [svg("circle", { class: "estimate", cx: across(at).toFixed(1), cy: down(moment.mean).toFixed(1), r: 4 })] : []));
}
