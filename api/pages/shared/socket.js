/*
 * The one connection to the service: ticket, first message, subscriptions, heartbeat, and automatic reconnection.
 *
 * Silence must be visible: after 2.5 missed ping periods the connection counts as lost, even if the socket is still
 * open. It counts as live again when every subscription has its snapshot, not when a socket opens.
 * On reconnection every subscription sends what it saw last (epoch and offset). The service then replays the missed alarm
 * transitions and sends a full snapshot.
 */

import * as clock from "./clock.js";
import { post } from "./http.js";

const PATIENCE = 2.5;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const AGAIN_MS = { unknown_patient: 3000, ended: 1000 };
const OPENING_MS = 8000;

export class Connection extends EventTarget {
  #socket = null;
  #next = 1;
  #channels = new Map();
  #subs = new Map();
  #outdated = new Set();
  #welcomed = false;
  #heard = { steady: 0, wall: 0, service: 0 };
  #attempts = 0;
  #turn = 0;
  #timer = 0;
  #opening = 0;

  state = "connecting";
  ping = 10;
  /* The service's own health; null before the first message with it. */
  health = null;
  /* While the connection is lost: the service's time of its last message. */
  lostAt = null;
  retryAt = 0;

  constructor() {
    super();
    setInterval(() => this.#watch(), 250);
    addEventListener("online", () => this.#wake());
    addEventListener("offline", () => this.#lose(true));
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#lose(true));
    document.addEventListener("visibilitychange", () => !document.hidden && this.#wake());
    document.addEventListener("resume", () => this.#wake());
  }

  /** Follow a channel ("ward/A", "patient/17") until `unsubscribe`; `receive` gets every message of it. */
  subscribe(channel, receive, maxHz = 1) {
    this.#channels.set(channel, { receive, maxHz, since: null, sub: null });
    if (this.#welcomed) this.#request(channel);
  }

  unsubscribe(channel) {
    const wanted = this.#channels.get(channel);
    this.#channels.delete(channel);
    this.#upToDate(channel);
    if (!wanted || wanted.sub === null) return;
    this.#subs.delete(wanted.sub);
    if (this.#welcomed) this.#send({ type: "unsubscribe", sub: wanted.sub });
  }

  async open() {
    clearTimeout(this.#timer);
    this.#attempts += 1;
    this.retryAt = 0;
    this.#opening = performance.now();
    this.#change(this.lostAt === null ? "connecting" : "lost");
    const turn = ++this.#turn;
    let ticket;
    try {
      ({ ticket } = await post("v1/tickets"));
      if (turn !== this.#turn) return;
    } catch (refusal) {
      if (turn !== this.#turn) return;
      if (refusal.status === 401) this.dispatchEvent(new Event("signed-out"));
      else this.#again();
      return;
    }
    const address = new URL("ws", document.baseURI);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    this.#socket = socket;
    this.#opening = performance.now();
    socket.onopen = () => this.#send({ type: "auth", ticket });
    socket.onmessage = (event) => socket === this.#socket && this.#receive(JSON.parse(event.data));
    socket.onclose = () => socket === this.#socket && this.#lose();
  }

  #send(message) {
    const id = this.#next++;
    this.#socket.send(JSON.stringify({ id, ...message }));
    return id;
  }

  #request(channel) {
    const wanted = this.#channels.get(channel);
    const since = wanted.since ? { since: wanted.since } : {};
    wanted.sub = this.#send({ type: "subscribe", channel, max_hz: wanted.maxHz, ...since });
    this.#subs.set(wanted.sub, channel);
  }

  #receive(message) {
    if ("server_time" in message) clock.set(message.server_time, message.speed);
    this.#heard = { steady: performance.now(), wall: Date.now(), service: clock.now() };
    if ("health" in message) this.#feels(message.health);
    if (message.type === "result" && "ping" in message) this.#welcome(message);
    else if (message.type === "error") this.#refused(message);
    else if ("sub" in message) this.#deliver(message);
  }

  #feels(health) {
    this.health = health;
    this.dispatchEvent(new Event("health"));
  }

  #welcome(message) {
    this.ping = message.ping;
    this.#attempts = 0;
    this.#subs.clear();
    this.#welcomed = true;
    this.#outdated = new Set(this.#channels.keys());
    for (const channel of this.#channels.keys()) this.#request(channel);
    this.#settle();
  }

  /** A channel got its snapshot, was refused, or was given up: nothing old of it is on the screen any more. */
  #upToDate(channel) {
    if (this.#outdated.delete(channel)) this.#settle();
  }

  #settle() {
    if (!this.#welcomed || this.#outdated.size || this.state === "live") return;
    this.lostAt = null;
    this.#change("live");
  }

  #deliver(message) {
    const channel = this.#subs.get(message.sub);
    const wanted = this.#channels.get(channel);
    if (!wanted) return;
    if (message.type === "snapshot") wanted.since = { epoch: message.epoch, offset: message.offset };
    wanted.receive(message);
    if (wanted.since && message.offset > wanted.since.offset) wanted.since.offset = message.offset;
    if (message.type === "snapshot") this.#upToDate(channel);
  }

  /** A request was refused (`id`), or the service ended a subscription (`sub`): its values are no longer updated. */
  #refused(message) {
    const number = message.sub ?? message.id;
    const channel = this.#subs.get(number);
    if (channel === undefined) return;
    const ended = "sub" in message;
    this.#subs.delete(number);
    const wanted = this.#channels.get(channel);
    if (wanted?.sub === number) Object.assign(wanted, { since: null, sub: null });
    this.dispatchEvent(new CustomEvent("refused", { detail: { reason: message.reason ?? "", channel, ended } }));
    this.#upToDate(channel);
    // A patient just admitted may not be visible yet. An ended subscription is requested once more.
    const wait = ended ? AGAIN_MS.ended : AGAIN_MS[message.reason];
    if (wait) setTimeout(() => this.#askAgain(channel), wait);
  }

  #askAgain(channel) {
    const wanted = this.#channels.get(channel);
    if (wanted && this.#welcomed && wanted.sub === null) this.#request(channel);
  }

  /** How long nothing was received, in ms. The clock that ran further counts: the steady one may stop during sleep. */
  get #silence() {
    return Math.max(performance.now() - this.#heard.steady, Date.now() - this.#heard.wall);
  }

  #watch() {
    if (this.#welcomed && this.#silence > PATIENCE * this.ping * 1000) this.#lose(true);
    // A service that accepts a request and never answers counts as lost.
    const stuck = this.#opening && !this.#welcomed && !this.retryAt;
    if (stuck && performance.now() - this.#opening > OPENING_MS) this.#lose();
  }

  /** The connection is lost; `now` reconnects without a pause. */
  #lose(now = false) {
    const socket = this.#socket;
    this.#socket = null;
    this.#turn += 1;
    socket?.close();
    if (this.#welcomed) this.lostAt = this.#heard.service;
    this.#welcomed = false;
    for (const wanted of this.#channels.values()) wanted.sub = null;
    if (!now) {
      this.#again();
      return;
    }
    this.lostAt ??= clock.now();
    this.open();
  }

  #again() {
    const longest = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(this.#attempts, 8));
    const wait = longest * (0.5 + Math.random() / 2);
    this.lostAt ??= clock.now();
    this.retryAt = performance.now() + wait;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), wait);
    this.#change("lost");
  }

  /** The network, the screen or the machine is back: check the service at once instead of waiting for the pause to end. */
  #wake() {
    this.#watch();
    if (this.state === "lost" && this.retryAt) this.open();
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
