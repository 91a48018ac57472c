/* Requests to the service. A refusal becomes a sentence in the user's language. */

import { has, t } from "./i18n.js";

/** The service refused a request, or was not reached. `message` is for the user. */
export class Refused extends Error {
  constructor(status, problem = {}) {
    const key = `problem.${status}`;
    const detail = problem.errors?.[0]?.detail ?? problem.detail ?? problem.title ?? "";
    super(status === 0 ? t("problem.offline") : has(key) ? t(key, { detail }) : t("problem.other", { status }));
    this.status = status;
    this.problem = problem;
  }
}

async function ask(method, path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch {
    throw new Refused(0);
  }
  const text = await answer.text();
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = null;
  }
  if (!answer.ok) throw new Refused(answer.status, content ?? {});
  return content;
}

export const get = (path) => ask("GET", path);
export const post = (path, body = {}) => ask("POST", path, body);
export const put = (path, body) => ask("PUT", path, body);
export const patch = (path, body) => ask("PATCH", path, body);
export const remove = (path) => ask("DELETE", path);
export const part = encodeURIComponent;

/** The items of a list answer, whether bare or wrapped in a page. */
export function items(answer) {
  if (Array.isArray(answer)) return answer;
  return answer?.items ?? Object.values(answer ?? {}).find(Array.isArray) ?? [];
}

/** A time from the service in milliseconds: ISO 8601 on HTTP, integers on the socket. */
export function millis(moment) {
  return typeof moment === "number" ? moment : Date.parse(moment);
}
