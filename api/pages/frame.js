/* What stands around every view: clock and its speed, demo mark, connection, banners, sound, language, sign-out. */

import * as clock from "./clock.js";
import { attribute, h, mark, write } from "./dom.js";
import { number, time } from "./format.js";
import { remove } from "./http.js";
import { LANGUAGES, choose, known, language, t } from "./i18n.js";

const place = (id) => document.getElementById(id);
const LINKS = { live: "link.live", lost: "link.lost", connecting: "link.connecting" };

export class Frame {
  #refusal = "";

  constructor(session, connection, sound) {
    this.connection = connection;
    this.sound = sound;
    clock.set(clock.now(), session.clock?.speed ?? 1);
    place("demo").hidden = !session.demo;
    write(place("who"), t("nav.signed_in", { name: session.name, role: known(`role.${session.role}`, session.role) }));
    this.#languages();
    this.#sounds();
    place("password").hidden = session.demo;
    place("sign-out").addEventListener("click", async () => {
      await remove("v1/session").catch(() => null);
      location.replace("sign-in.html");
    });
    addEventListener("click", ({ target }) => {
      const menu = document.querySelector(".menu");
      if (!menu.contains(target)) menu.open = false;
    });
    connection.addEventListener("change", () => this.#show());
    setInterval(() => this.#tick(), 500);
    this.#show();
    this.#tick();
  }

  /** The service refused the ward asked for; an empty reason takes the banner away. */
  refused(reason) {
    this.#refusal = reason;
    this.#show();
  }

  #languages() {
    place("language").replaceChildren(...Object.entries(LANGUAGES).map(([code, name]) => (
      h("option", { value: code, lang: code, selected: code === language }, name))));
    place("language").addEventListener("change", ({ target }) => choose(target.value));
  }

  #sounds() {
    place("sound-on").addEventListener("click", () => this.sound.turnOn());
    place("sound").addEventListener("click", () => (this.sound.on ? this.sound.turnOff() : this.sound.turnOn()));
    const show = () => {
      place("silent").hidden = this.sound.on;
      write(place("sound"), this.sound.on ? t("sound.turn_off") : t("banner.sound_enable"));
    };
    this.sound.addEventListener("change", show);
    show();
  }

  #tick() {
    const now = clock.now();
    write(place("clock"), time(now));
    place("speed").hidden = clock.speed === 1;
    const speed = number(clock.speed, Number.isInteger(clock.speed) ? 0 : 1);
    write(place("speed"), t("notice.speed", { speed }));
    attribute(place("speed"), "title", t("notice.speed_title", { speed }));
    if (this.connection.state === "lost") write(this.retry, this.#wait());
  }

  #wait() {
    const left = Math.ceil((this.connection.retryAt - performance.now()) / 1000);
    return this.connection.retryAt && left > 0 ? t("banner.retry", { seconds: left }) : t("banner.trying");
  }

  #show() {
    const { state, lostAt } = this.connection;
    const lost = state === "lost";
    mark(document.body, "lost", lost);
    document.body.dataset.link = state;
    write(place("link"), t(LINKS[state]));
    const banner = place("banner");
    mark(banner, "serious", lost);
    if (lost) this.#lost(banner, lostAt);
    else if (this.#refusal) write(banner, this.#refusal === "forbidden" ? t("banner.forbidden") : t("banner.unknown"));
    else write(banner, state === "connecting" ? t("banner.never") : "");
  }

  /** The countdown is kept out of the live region's announcements: only the loss itself is read out. */
  #lost(banner, lostAt) {
    if (this.retry?.isConnected) return;
    this.retry = h("span", { "aria-hidden": "true" }, this.#wait());
    banner.replaceChildren(h("strong", {}, t("banner.lost", { time: time(lostAt) })), " ", this.retry);
  }
}
