/* Every string a person reads comes from messages/<language>.json; keys are flat, `{name}` is filled in. */

export const LANGUAGES = { en: "English", de: "Deutsch" };
const KEPT = "vitaltwin.language";

let messages = {};
export let language = "en";
let plural = new Intl.PluralRules(language);

function preferred() {
  const kept = localStorage.getItem(KEPT);
  if (kept in LANGUAGES) return kept;
  for (const tag of navigator.languages ?? [navigator.language]) {
    const base = tag.split("-")[0];
    if (base in LANGUAGES) return base;
  }
  return "en";
}

/** The tag for Intl: the browser's own region where it has one for this language ("de-AT", "en-GB"). */
export function locale() {
  const own = (navigator.languages ?? []).find((tag) => tag.split("-")[0] === language);
  return own ?? language;
}

/** Load the language's messages and fill the elements of the page that carry `data-t`. */
export async function load(chosen = preferred()) {
  const answer = await fetch(`messages/${chosen}.json`);
  messages = await answer.json();
  language = chosen;
  plural = new Intl.PluralRules(language);
  document.documentElement.lang = language;
  fill(document);
}

export function choose(chosen) {
  localStorage.setItem(KEPT, chosen);
  location.reload();
}

export function fill(root) {
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-title]")) element.title = t(element.dataset.tTitle);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
}

export function has(key) {
  return Object.hasOwn(messages, key);
}

/** The message of a key; `count` picks the plural form (`key.one`, `key.other`). An unknown key shows itself. */
export function t(key, values = {}) {
  let text = messages[key];
  if (text === undefined && "count" in values) {
    text = messages[`${key}.${plural.select(Number(values.amount ?? values.count))}`] ?? messages[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Like `t`, with a second key for names without a message (a site's own model or signal). */
export function known(key, otherwise) {
  return has(key) ? t(key) : otherwise;
}
