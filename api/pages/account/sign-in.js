/* The sign-in page: name and password, or where to find the one-time link. */

import { Refused, post } from "../shared/http.js";
import { load, t } from "../shared/i18n.js";
import { languages } from "../shared/languages.js";

await load();
document.title = `${t("sign_in.title")} – ${t("app.title")}`;
languages();

const said = document.getElementById("said");

/** The view to return to. Only the part after the # is used, so it is always a page of this service. */
function back() {
  if (location.hash === "#/password") return "password.html";
  return location.hash.startsWith("#/") ? `./${location.hash}` : "./";
}

document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = event.target.elements;
  said.textContent = "";
  try {
    await post("v1/session", { name: name.value, password: password.value });
    location.replace(back());
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    said.textContent = refusal.status === 401 ? t("sign_in.wrong") : refusal.message;
    password.value = "";
    password.focus();
  }
});
document.getElementById("go").disabled = false; // until this script listens, the browser would submit the form itself
