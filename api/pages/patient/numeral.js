/* Numbers as people type them: a decimal comma or point, and stray spaces. */

import { locale } from "../shared/i18n.js";

const MARKS = /[.,’'٫٬]/g;

/**
 * Read a number: {amount}, or {reason: "not_a_number"}, or {reason: "ambiguous", readings} where a mark may separate
 * thousands or decimals ("1.250"). A guess could set a limit that the user did not mean.
 *
 * "39,5" and "39.5" are 39.5, "1 250" is 1250, "1.250,5" and "1,250.5" are 1250.5.
 */
export function read(text) {
  const bare = text.normalize("NFKC").replace(/\s+/g, " ").trim().replace(/−/g, "-");
  const plain = /^[+-]?\d{1,3}( \d{3})+([.,]\d+)?$/.test(bare) ? bare.replaceAll(" ", "") : bare.replace(/ ?([.,]) ?/g, "$1").replace(/^([+-]) /, "$1");
  if (!/^[+-]?(\d+([.,’'٫٬]\d+)*|[.,]\d+)[.,]?$/.test(plain)) return { reason: "not_a_number" };
  const trimmed = plain.replace(/[.,]$/, "");
  const marks = trimmed.match(MARKS) ?? [];
  if (!marks.length) return { amount: Number(trimmed) };
  const last = marks.at(-1);
  const head = trimmed.slice(0, trimmed.lastIndexOf(last));
  const tail = trimmed.slice(trimmed.lastIndexOf(last) + 1);
  const groups = (whole) => whole.split(MARKS).every((group, i) => (i ? group.length === 3 : /^[+-]?\d{1,3}$/.test(group)));
  const joined = (whole) => whole.replace(MARKS, "");
  if (marks.length === 1) {
    if (last !== "." && last !== ",") return groups(trimmed) ? { amount: Number(joined(trimmed)) } : { reason: "not_a_number" };
    const decimal = Number(`${head || "0"}.${tail}`.replace(/^([+-])\./, "$10."));
    // Three digits after the only mark: the digits before it could be thousands.
    if (tail.length === 3 && /^[+-]?[1-9]\d{0,2}$/.test(head)) {
      const plainly = new Intl.NumberFormat(locale(), { maximumFractionDigits: 2, useGrouping: false });
      return { reason: "ambiguous", readings: [plainly.format(Number(joined(trimmed))), plainly.format(decimal)] };
    }
    return { amount: decimal };
  }
  const others = new Set(marks.slice(0, -1));
  if (others.size > 1) return { reason: "not_a_number" };
  if (others.has(last)) return groups(trimmed) ? { amount: Number(joined(trimmed)) } : { reason: "not_a_number" };
  if (!groups(head) || (last !== "." && last !== ",")) return { reason: "not_a_number" };
  return { amount: Number(`${joined(head)}.${tail}`) };
}
