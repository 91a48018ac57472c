/* The sign-in page: name and password, or where to find the one-time link. */

import { Refused, post } from "./http.js";
import { LANGUAGES, choose, language, load, t } from "./i18n.js";

await load();
document.title = `${t("sign_in.title")} – ${t("app.title")}`;

const said = document.getElementById("said");
if (location.hash === "#link") said.textContent = t("sign_in.link_spent");

const languages = document.getElementById("language");
for (const [code, name] of Object.entries(LANGUAGES)) languages.append(new Option(name, code, false, code === language));
languages.addEventListener("change", () => choose(languages.value));

document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, password } = event.target.elements;
  said.textContent = "";
  try {
    await post("v1/session", { name: name.value, password: password.value });
    location.replace("./");
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    said.textContent = refusal.status === 401 ? t("sign_in.wrong") : refusal.message;
    password.value = "";
    password.focus();
  }
});
