/* Build elements without markup strings: text from devices or people is never parsed as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element with properties, listeners (`onclick`), attributes (anything with a dash, `role`, `for` …) and children.
 * A property that is null or false is left out.
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.className = value;
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-") && name !== "list") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Write a text only if it differs, so that an unchanged tile costs no layout. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Set or remove a class, only if it differs. */
export function mark(element, name, on) {
  if (element.classList.contains(name) !== Boolean(on)) element.classList.toggle(name, Boolean(on));
}

export function attribute(element, name, value) {
  if (value === null) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

const SHAPES = {
  high: "M8 1 L15.5 15 L0.5 15 Z",
  medium: "M8 0.5 L15.5 8 L8 15.5 L0.5 8 Z",
  low: "M8 1 A7 7 0 1 1 7.99 1 Z",
};

/** The shape of a priority: triangle, diamond, disc. Decorative: the text beside it says the same. */
export function shape(priority) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("class", "shape");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", SHAPES[priority] ?? SHAPES.low);
  svg.append(path);
  return svg;
}

export const STARS = { high: "***", medium: "**", low: "*" };

/** The badge of an alarm: shape and stars in the colour of its priority; only this flashes, never a number. */
export function badge(priority, quiet, name) {
  return h("span", { class: `badge ${priority}${quiet ? " quiet" : ""}`, title: name },
    shape(priority), h("span", { class: "stars", "aria-hidden": "true" }, STARS[priority] ?? "*"),
    h("span", { class: "unseen" }, name));
}
