/*
 * The one connection to the service: ticket, first message, subscriptions, heartbeat, and coming back by itself.
 *
 * Silence must look like silence: after 2.5 missed ping periods the connection counts as lost, whatever the
 * socket itself claims. On reconnection every subscription says what it saw last (epoch and offset), so the
 * service replays the alarm transitions missed meanwhile and sends a whole snapshot.
 */

import * as clock from "./clock.js";
import { post } from "./http.js";

const PATIENCE = 2.5;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const UNKNOWN_AGAIN_MS = 3000;
const OPENING_MS = 8000;

export class Connection extends EventTarget {
  #socket = null;
  #next = 1;
  #channels = new Map();
  #subs = new Map();
  #heard = 0;
  #attempts = 0;
  #timer = 0;
  #opening = 0;

  state = "connecting";
  ping = 10;
  lostAt = null;
  retryAt = 0;

  constructor() {
    super();
    setInterval(() => this.#watch(), 250);
    addEventListener("online", () => this.#hurry());
    addEventListener("pagehide", () => this.#socket?.close());
    addEventListener("pageshow", (event) => event.persisted && this.#hurry());
    document.addEventListener("visibilitychange", () => !document.hidden && this.#hurry());
  }

  /** Follow a channel ("ward/A", "patient/17") until `unsubscribe`; `receive` gets every message of it. */
  subscribe(channel, receive, maxHz = 1) {
    this.#channels.set(channel, { receive, maxHz, since: null, sub: null });
    if (this.state === "live") this.#request(channel);
  }

  unsubscribe(channel) {
    const wanted = this.#channels.get(channel);
    this.#channels.delete(channel);
    if (!wanted || wanted.sub === null) return;
    this.#subs.delete(wanted.sub);
    if (this.state === "live") this.#send({ type: "unsubscribe", sub: wanted.sub });
  }

  async open() {
    clearTimeout(this.#timer);
    this.#attempts += 1;
    this.retryAt = 0;
    this.#opening = performance.now();
    this.#change(this.lostAt === null ? "connecting" : "lost");
    let ticket;
    try {
      ({ ticket } = await post("v1/tickets"));
    } catch (refusal) {
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
    this.#heard = performance.now();
    if ("server_time" in message) clock.set(message.server_time, message.speed);
    if (message.type === "result" && "ping" in message) this.#welcome(message);
    else if (message.type === "error") this.#refused(message);
    else if ("sub" in message) this.#deliver(message);
  }

  #welcome(message) {
    this.ping = message.ping;
    this.#attempts = 0;
    this.lostAt = null;
    this.#subs.clear();
    this.#change("live");
    for (const channel of this.#channels.keys()) this.#request(channel);
  }

  #deliver(message) {
    const wanted = this.#channels.get(this.#subs.get(message.sub));
    if (!wanted) return;
    if (message.type === "snapshot") wanted.since = { epoch: message.epoch, offset: message.offset };
    wanted.receive(message);
    if (wanted.since && message.offset > wanted.since.offset) wanted.since.offset = message.offset;
  }

  #refused(message) {
    const channel = this.#subs.get(message.id);
    this.#subs.delete(message.id);
    const detail = { reason: message.reason ?? "", channel };
    this.dispatchEvent(new CustomEvent("refused", { detail }));
    // Somebody just admitted may not have come through yet.
    if (message.reason === "unknown_patient") setTimeout(() => this.#askAgain(channel), UNKNOWN_AGAIN_MS);
  }

  #askAgain(channel) {
    const wanted = this.#channels.get(channel);
    if (wanted && this.state === "live" && !this.#subs.has(wanted.sub)) this.#request(channel);
  }

  #watch() {
    const silent = performance.now() - this.#heard;
    if (this.state === "live" && silent > PATIENCE * this.ping * 1000) this.#lose();
    const stuck = this.#socket && this.state !== "live" && !this.retryAt;
    if (stuck && performance.now() - this.#opening > OPENING_MS) this.#lose();
  }

  #lose() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    if (this.state === "live") this.lostAt = clock.now();
    this.#again();
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

  /** The network or the screen is back: no need to sit out the pause. */
  #hurry() {
    if (this.state === "lost" && this.retryAt) this.open();
  }

  #change(state) {
    this.state = state;
    this.dispatchEvent(new Event("change"));
  }
}
