/* Set a password after a one-time link, or change one's own password. */

import { Refused, get, put } from "../shared/http.js";
import { load, t } from "../shared/i18n.js";
import { languages } from "../shared/languages.js";

await load();
languages();

const place = (id) => document.getElementById(id);
let needed = true;

/** A person who came with a one-time link may have lost the password, so the current one is not asked for. */
function show(session) {
  needed = !session.by_link;
  place("name").value = session.name;
  place("asked").hidden = !needed;
  place("current").required = needed;
  place("why").hidden = needed;
  place("why").textContent = needed ? "" : t("password.why");
  place("title").textContent = t(needed ? "password.change" : "password.title");
  place("leave").textContent = t(needed ? "password.leave" : "password.later");
  place("save").disabled = false; // until this script listens, the browser would submit the form itself
  document.title = `${place("title").textContent} – ${t("app.title")}`;
}

function refuse(text, field) {
  place("said").textContent = text;
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

place("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const [current, wanted, again] = ["current", "new", "again"].map(place);
  for (const field of [current, wanted, again]) field.removeAttribute("aria-invalid");
  place("said").textContent = "";
  place("done").textContent = "";
  if (wanted.value !== again.value) return refuse(t("password.differ"), again);
  place("save").disabled = true;
  try {
    await put("v1/session/password", { current: current.value, new: wanted.value });
    for (const field of [current, wanted, again]) field.value = "";
    show(await get("v1/session"));
    place("done").textContent = t("password.done");
    place("leave").focus();
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    if (refusal.problem.type?.endsWith("/invalid-credentials")) refuse(t("password.wrong"), current);
    else if (refusal.status === 401) location.replace("sign-in.html#/password");
    else if (refusal.status === 422) refuse(t("password.weak"), wanted);
    else refuse(refusal.message, wanted);
  } finally {
    place("save").disabled = false;
  }
});

try {
  const session = await get("v1/session");
  if (session.demo) location.replace("./");
  show(session);
  place(needed ? "current" : "new").focus();
} catch (refusal) {
  if (refusal.status === 401) location.replace("sign-in.html#/password");
  else place("said").textContent = refusal.message;
}
