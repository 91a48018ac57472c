/* The choice of language on the pages before the dashboard. */

import { LANGUAGES, choose, language } from "./i18n.js";

export function languages() {
  const select = document.getElementById("language");
  for (const [code, name] of Object.entries(LANGUAGES)) {
    const option = new Option(name, code, false, code === language);
    option.lang = code;
    select.append(option);
  }
  select.addEventListener("change", () => choose(select.value));
}
