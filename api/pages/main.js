/* The dashboard: the signed-in person, the ward or patient shown, and the state of everything that must not fail silently. */

import { Alarms } from "./alarms/alarms.js";
import { Burden } from "./burden/burden.js";
import { Forecasts } from "./forecasts/forecasts.js";
import { h, mark, write } from "./shared/dom.js";
import { Frame } from "./shared/frame.js";
import { Refused, get, items, millis, part } from "./shared/http.js";
import { load as loadMessages, t } from "./shared/i18n.js";
import { PatientPage } from "./patient/patient.js";
import { load as loadSignals } from "./shared/signals.js";
import { Connection } from "./shared/socket.js";
import { MomentPage } from "./moment/moment.js";
import { Sound } from "./alarms/sound.js";
import { Store } from "./shared/store.js";
import { Ward } from "./ward/ward.js";

const KEPT = "vitaltwin.ward";
const place = (id) => document.getElementById(id);

/** The requested view is kept in the address and shown after sign-in. */
function toSignIn() {
  location.replace(`sign-in.html${location.hash.startsWith("#/") ? location.hash : ""}`);
}

/** Decode a name in an address. A malformed one is used as it is written; no ward or patient has that name. */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** The wards this person may choose from; "*" first where all are open. */
async function wardNames(session) {
  let names = session.wards.filter((ward) => ward !== "*");
  try {
    const listed = items(await get("v1/wards")).map((ward) => ward.name ?? ward).filter(Boolean);
    if (listed.length) names = listed;
  } catch {
    /* The session's own list is enough. */
  }
  names.sort(new Intl.Collator(undefined, { numeric: true }).compare);
  return session.wards.includes("*") ? ["*", ...names] : names;
}

class Dashboard {
  #ward = null;
  #page = null;

  constructor(session, wards) {
    this.session = session;
    this.wards = wards;
    this.may = session.role === "clinician" || session.role === "admin";
    this.store = new Store();
    this.connection = new Connection();
    this.sound = new Sound(this.store, this.connection);
    this.frame = new Frame(session, this.connection, this.sound);
    this.alarms = new Alarms(this.store, {
      may: this.may, alert: place("alert"), status: place("status"), button: place("alarms-button"),
    });
    place("side").append(this.alarms.root);
    this.view = new Ward(this.store);
    this.connection.addEventListener("signed-out", toSignIn);
    this.connection.addEventListener("refused", ({ detail }) => this.#refused(detail));
    this.connection.addEventListener("change", () => this.#connected());
    this.store.addEventListener("gap", () => this.#recent(true));
    addEventListener("hashchange", () => this.route());
    this.route();
    this.connection.open();
  }

  /** #/ward/A, #/ward/*, #/patient/ID, #/forecasts/SIGNAL/WARD, #/burden/WARD, #/moment/ALARM; anything else shows the last ward. */
  route() {
    const [, view, rest = ""] = location.hash.match(/^#\/(\w+)(?:\/(.*))?$/) ?? [];
    const name = plain(rest);
    this.#page?.close();
    this.#page = null;
    const kept = localStorage.getItem(KEPT);
    const usual = this.#ward ?? (this.wards.includes(kept) ? kept : this.wards[0] ?? "*");
    this.#follow(view === "ward" && name ? name : usual);
    mark(document.body, "on-patient", view === "patient");
    if (view === "patient" && name) {
      this.#page = new PatientPage(name, { ward: this.store, connection: this.connection, may: this.may });
      place("main").replaceChildren(this.#page.root);
      place("main").focus({ preventScroll: true });
    } else if (view === "moment" && name) {
      this.#page = new MomentPage(name);
      document.title = `${t("moment.title")} – ${t("app.title")}`;
      place("main").replaceChildren(this.#page.root);
      place("main").focus({ preventScroll: true });
    } else if (view === "forecasts" || view === "burden") {
      const Page = view === "burden" ? Burden : Forecasts;
      this.#page = new Page(rest.split("/").map(plain), this.wards, this.#ward);
      document.title = `${t(`${view}.title`)} – ${t("app.title")}`;
      place("main").replaceChildren(this.#page.root);
      place("main").focus({ preventScroll: true });
    } else {
      document.title = `${this.view.title(this.#ward)} – ${t("app.title")}`;
      place("main").replaceChildren(this.view.root);
    }
    scrollTo(0, 0);
  }

  #follow(ward) {
    place("wards").replaceChildren(...this.wards.map((name) => h("a", {
      href: `#/ward/${encodeURIComponent(name)}`, "aria-current": name === ward ? "page" : null,
    }, name === "*" ? t("nav.all") : t("nav.ward", { ward: name }))));
    if (ward === this.#ward) return;
    if (this.#ward !== null) this.connection.unsubscribe(`ward/${this.#ward}`);
    this.#ward = ward;
    localStorage.setItem(KEPT, ward);
    this.frame.refused("");
    this.store.clear();
    this.connection.subscribe(`ward/${ward}`, (message) => {
      if (message.type === "snapshot") this.frame.refused("");
      this.store.take(message);
    });
    this.#recent();
  }

  /**
   * Load earlier alarms for the event list, each in its present state. After a gap that the socket could not fill (the
   * service was restarted), load also every transition of the alarms that changed in between.
   */
  async #recent(gap = false) {
    const ward = this.#ward;
    const scope = ward === "*" ? "" : `&ward=${part(ward)}`;
    const last = this.store.transitions.at(-1)?.time ?? 0;
    try {
      const alarms = items(await get(`v1/alarms?state=all${scope}`));
      const changed = gap ? alarms.filter((alarm) => millis(alarm.time) > last) : [];
      const courses = await Promise.all(changed.map((alarm) => get(`v1/alarms/${part(alarm.id)}`)));
      // The user may have chosen another ward meanwhile: these events do not belong to it.
      if (ward === this.#ward) this.store.backfill([...alarms, ...courses.flatMap((course) => course.transitions)]);
    } catch (refusal) {
      if (refusal.status === 401) toSignIn();
    }
  }

  /** Remove values that the service no longer updates, so that they do not look current. */
  #refused({ reason, channel, ended }) {
    if (channel.startsWith("patient/")) {
      this.#page?.refuse(ended);
      return;
    }
    this.store.clear();
    this.frame.refused(ended ? "ended" : reason);
  }

  #connected() {
    if (this.connection.state !== "live") {
      this.missed = this.connection.state === "lost";
      return;
    }
    if (!this.missed) return;
    this.missed = false;
    this.view.reopen();
    this.#page?.reopen();
  }
}

async function start() {
  await loadMessages();
  try {
    const session = await get("v1/session");
    await loadSignals();
    return new Dashboard(session, await wardNames(session));
  } catch (refusal) {
    if (refusal.status === 401) return toSignIn();
    write(place("banner"), refusal instanceof Refused ? refusal.message : t("problem.other", { status: "" }));
    if (!(refusal instanceof Refused)) throw refusal;
    return setTimeout(() => location.reload(), 5000);
  }
}

start();
