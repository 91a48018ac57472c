/* A one-time link: it is used only after a click. A person who is already signed in here must agree to be replaced. */

import { Refused, get, part, post } from "../shared/http.js";
import { known, load, t } from "../shared/i18n.js";
import { languages } from "../shared/languages.js";

await load();
document.title = `${t("link_page.title")} – ${t("app.title")}`;
languages();

const place = (id) => document.getElementById(id);
const token = new URLSearchParams(location.search).get("token") ?? "";
let present = "";

/** Show who is signed in here already. The request carries the name as that person's consent. */
async function look() {
  try {
    const session = await get("v1/session");
    present = session.demo ? "" : session.name;
    const role = known(`role.${session.role}`, session.role);
    place("present").textContent = present ? t("link_page.present", { name: present, role }) : "";
    place("go").textContent = present ? t("link_page.instead", { name: present }) : t("link_page.go");
  } catch {
    present = "";
  }
  place("present").hidden = !present;
  place("go").disabled = false;
}

place("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  place("go").disabled = true;
  place("said").textContent = "";
  try {
    await post(`sign-in?token=${part(token)}&instead_of=${part(present)}`);
    location.replace("password.html");
  } catch (refusal) {
    if (!(refusal instanceof Refused)) throw refusal;
    if (refusal.status === 401 || refusal.status === 422) place("said").textContent = t("link_page.spent");
    else if (refusal.status === 409) await look();
    else place("said").textContent = refusal.message;
    place("go").disabled = false;
  }
});

await look();
