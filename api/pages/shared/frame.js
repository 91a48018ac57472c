/* The frame around every view: clock and its speed, demo mark, connection, banners, sound, language, sign-out. */

import * as clock from "./clock.js";
import { faults } from "./health.js";
import { attribute, h, mark, write } from "./dom.js";
import { number, time } from "./format.js";
import { remove } from "./http.js";
import { LANGUAGES, choose, known, language, t } from "./i18n.js";

const place = (id) => document.getElementById(id);
const REFUSALS = { forbidden: "banner.forbidden", ended: "banner.ended" };
const LINKS = { live: "link.live", lost: "link.lost", connecting: "link.connecting", fault: "link.fault" };

export class Frame {
  #refusal = "";
  #said = "[]";

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
    connection.addEventListener("health", () => this.#feel());
    sound.addEventListener("change", () => this.#feel());
    setInterval(() => this.#tick(), 500);
    this.#show();
    this.#tick();
  }

  /** The service refused the requested ward; an empty reason removes the banner. */
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
    this.#feel();
    const banner = place("banner");
    mark(banner, "serious", lost);
    if (lost) this.#lost(banner, lostAt);
    else if (this.#refusal) write(banner, t(REFUSALS[this.#refusal] ?? "banner.unknown"));
    else write(banner, state === "connecting" ? t("banner.never") : "");
  }

  /** Show what the service cannot do at the moment. Red if readings are not recorded or not evaluated: then it is not "Live". */
  #feel() {
    const { state, health } = this.connection;
    const found = state === "lost" ? [] : faults(health, clock.speed);
    const serious = found.some((fault) => fault.serious);
    const link = state !== "lost" && serious ? "fault" : state;
    document.body.dataset.link = link;
    write(place("link"), t(LINKS[link]));
    const said = JSON.stringify([found.map(({ code, text }) => [code, text]), this.sound.quiet]);
    if (said === this.#said) return;
    this.#said = said;
    const quiet = serious && h("button", {
      type: "button", hidden: this.sound.quiet || !this.sound.on, onclick: () => this.sound.hush(),
    }, t("health.hush"));
    place("faults").hidden = !found.length;
    place("faults").replaceChildren(
      ...found.map(({ serious: grave, text }) => h("p", { class: grave ? "banner serious" : "banner warning" }, text)),
      ...(quiet ? [quiet] : []));
  }

  /** Screen readers announce only the loss of the connection, not the countdown. */
  #lost(banner, lostAt) {
    if (this.retry?.isConnected) return;
    this.retry = h("span", { "aria-hidden": "true" }, this.#wait());
    banner.replaceChildren(h("strong", {}, t("banner.lost", { time: time(lostAt) })), " ", this.retry);
  }
}
