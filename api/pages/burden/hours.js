/* Alarms by hour of the day, as bars. The table beside it has the same numbers, for those who cannot see it. */

import { number } from "../shared/format.js";
import { t } from "../shared/i18n.js";

const SPACE = "http://www.w3.org/2000/svg";
const [LEFT, TOP, WIDTH, HEIGHT, BELOW] = [44, 12, 480, 140, 34];
const BAR = WIDTH / 24;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** The bars of 24 groups, in the order of the hours. */
export function hours(groups, label) {
  const most = Math.max(1, ...groups.map(({ alarms }) => alarms));
  const bars = groups.map(({ name, alarms }, hour) => {
    const tall = (alarms / most) * HEIGHT;
    return svg("rect", {
      class: "bar", x: (LEFT + hour * BAR + 1).toFixed(1), y: (TOP + HEIGHT - tall).toFixed(1), width: (BAR - 2).toFixed(1), height: tall.toFixed(1),
    }, svg("title", {}, t("burden.hour", { hour: name, count: number(alarms) })));
  });
  const names = groups.filter((_, hour) => hour % 3 === 0).map(({ name }, place) => svg("text", {
    x: LEFT + (3 * place + 0.5) * BAR, y: TOP + HEIGHT + 16, "text-anchor": "middle",
  }, name));
  const scale = [[0, 0], [most, HEIGHT]].map(([count, up]) => svg("text", {
    x: LEFT - 6, y: TOP + HEIGHT - up + 4, "text-anchor": "end",
  }, number(count)));
  return svg("svg", { class: "hours", viewBox: `0 0 ${LEFT + WIDTH + 8} ${TOP + HEIGHT + BELOW}`, role: "img", "aria-label": label },
    svg("line", { class: "ground", x1: LEFT, x2: LEFT + WIDTH, y1: TOP + HEIGHT, y2: TOP + HEIGHT }), ...bars, ...names, ...scale,
    svg("text", { class: "axis", x: LEFT + WIDTH / 2, y: TOP + HEIGHT + 31, "text-anchor": "middle" }, t("burden.hour_axis")));
}
