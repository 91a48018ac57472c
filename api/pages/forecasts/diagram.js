/* The reliability diagram: what was stated against how often it happened, a point for each bin, larger where it was stated often. */

import { number, percent } from "../shared/format.js";
import { t } from "../shared/i18n.js";

const SPACE = "http://www.w3.org/2000/svg";
const SIZE = 300;
const [LEFT, TOP, RIGHT, BELOW] = [64, 14, 26, 50];
const TICKS = [0, 0.2, 0.4, 0.6, 0.8, 1];
const [SMALLEST, LARGEST] = [3.5, 13];
const Z95 = 1.96;

const across = (share) => LEFT + share * SIZE;
const down = (share) => TOP + (1 - share) * SIZE;

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Where the true share probably lies (95 %), if `came` of `count` came true (Wilson 1927). */
export function probable({ count, came }) {
  const share = came / count;
  const middle = share + Z95 ** 2 / (2 * count);
  const apart = Z95 * Math.sqrt((share * (1 - share)) / count + Z95 ** 2 / (4 * count ** 2));
  const whole = 1 + Z95 ** 2 / count;
  return [(middle - apart) / whole, (middle + apart) / whole];
}

function axes() {
  const lines = TICKS.flatMap((share) => [
    svg("line", { class: "grid-line", x1: across(share), x2: across(share), y1: down(0), y2: down(1) }),
    svg("line", { class: "grid-line", x1: across(0), x2: across(1), y1: down(share), y2: down(share) }),
    svg("text", { x: across(share), y: down(0) + 18, "text-anchor": "middle" }, percent(share)),
    svg("text", { x: across(0) - 7, y: down(share) + 4, "text-anchor": "end" }, percent(share)),
  ]);
  const [middle, height] = [across(0.5), down(0.5)];
  return [
    ...lines,
    svg("text", { class: "axis", x: middle, y: down(0) + 40, "text-anchor": "middle" }, t("forecasts.axis_stated")),
    svg("text", { class: "axis", x: 14, y: height, "text-anchor": "middle", transform: `rotate(-90 14 ${height})` },
      t("forecasts.axis_came")),
  ];
}

function point(bin, most) {
  const [low, high] = probable(bin);
  const [x, y] = [across(bin.stated), down(bin.came / bin.count)];
  const radius = SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(bin.count / most);
  return svg("g", { class: "point" },
    svg("title", {}, t("forecasts.point", {
      stated: percent(bin.stated), came: number(bin.came), count: number(bin.count),
    })),
    svg("line", { x1: x, x2: x, y1: down(low), y2: down(high) }),
    svg("circle", { cx: x, cy: y, r: radius.toFixed(1) }));
}

/** The diagram of one record's bins. The table beside it has the same numbers, for those who cannot see it. */
export function diagram(bins, label) {
  const used = bins.filter(({ count }) => count > 0);
  const most = Math.max(...used.map(({ count }) => count));
  const whole = { class: "diagram", viewBox: `0 0 ${LEFT + SIZE + RIGHT} ${TOP + SIZE + BELOW}`, role: "img", "aria-label": label };
  return svg("svg", whole, ...axes(),
    svg("line", { class: "ideal", x1: across(0), y1: down(0), x2: across(1), y2: down(1) }),
    ...used.map((bin) => point(bin, most)));
}
