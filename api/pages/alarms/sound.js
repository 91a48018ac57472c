/*
 * Alarm sounds after IEC 60601-1-8: high 10 pulses (3 + 2, twice), medium 3, low 1; fundamentals of 150–1000 Hz with
 * at least four harmonics within 300–4000 Hz. Browsers block audio until the user acts, so the state is always shown.
 */

import * as clock from "../shared/clock.js";
import { faults } from "../shared/health.js";
import { sounding } from "../shared/store.js";

const PATTERNS = {
  high: { pitch: 523.25, pulse: 0.15, starts: [0, 0.26, 0.52, 1.0, 1.26, 2.1, 2.36, 2.62, 3.1, 3.36], repeat: 7 },
  medium: { pitch: 440, pulse: 0.2, starts: [0, 0.42, 0.84], repeat: 15 },
  low: { pitch: 349.23, pulse: 0.2, starts: [0], repeat: 25 },
};
const HARMONICS = [0, 1, 0.7, 0.5, 0.4, 0.3, 0.2];
const RISE = 0.02;
const LOUDNESS = 0.35;
const KEPT = "vitaltwin.sound";

export class Sound extends EventTarget {
  #context = null;
  #wave = null;
  #played = new Map();
  #fault = "";
  #timer = 0;
  /* The user has silenced the present fault. */
  quiet = false;
  #wanted = localStorage.getItem(KEPT) !== "off";

  constructor(store, connection) {
    super();
    this.store = store;
    this.connection = connection;
    store.addEventListener("alarms", () => this.#soon());
    setInterval(() => this.#play(), 500);
    if (this.#wanted) this.#try();
  }

  get on() {
    return this.#wanted && this.#context?.state === "running";
  }

  /** Call this from a click or a key: browsers allow sound only then. */
  async turnOn() {
    this.#wanted = true;
    localStorage.setItem(KEPT, "on");
    await this.#try();
    this.#pulse(PATTERNS.low, 0);
  }

  turnOff() {
    this.#wanted = false;
    localStorage.setItem(KEPT, "off");
    this.#context?.suspend();
    this.#changed();
  }

  async #try() {
    if (!this.#context) {
      this.#context = new AudioContext();
      this.#wave = this.#context.createPeriodicWave(new Float32Array(HARMONICS.length), new Float32Array(HARMONICS));
      this.#context.onstatechange = () => this.#changed();
    }
    if (this.#context.state !== "running") await Promise.race([this.#context.resume(), new Promise((go) => setTimeout(go, 300))]);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }

  /** Silence the service's present fault. Another fault sounds again. */
  hush() {
    this.quiet = true;
    this.#changed();
  }

  /** Note the service's faults. A new fault is not silenced. */
  #listen() {
    const { state, health } = this.connection;
    const code = state === "lost" ? "lost" : faults(health, clock.speed).filter(({ serious }) => serious).map((one) => one.code).join();
    if (code !== this.#fault) {
      this.#fault = code;
      this.quiet = false;
      this.#changed();
    }
  }

  /** In a flood alarms change a hundred times a second: look at them together. */
  #soon() {
    this.#timer ||= setTimeout(() => {
      this.#timer = 0;
      this.#play();
    }, 50);
  }

  /**
   * The most urgent unacknowledged alarm sounds. A lost connection sounds as medium, because no alarm can arrive. So does a
   * service that does not record or does not evaluate readings.
   */
  #play() {
    this.#listen();
    if (!this.on) return;
    const lost = Boolean(this.#fault) && !this.quiet;
    const worst = this.store.foremost(sounding);
    const priority = lost && worst !== "high" ? "medium" : worst;
    if (!priority) {
      this.#played.clear();
      return;
    }
    const pattern = PATTERNS[priority];
    const now = this.#context.currentTime;
    if (now - (this.#played.get(priority) ?? -Infinity) < pattern.repeat) return;
    this.#played.set(priority, now);
    for (const start of pattern.starts) this.#pulse(pattern, start);
  }

  #pulse({ pitch, pulse }, after) {
    const context = this.#context;
    if (context?.state !== "running") return;
    const start = context.currentTime + 0.02 + after;
    const tone = context.createOscillator();
    const gain = context.createGain();
    tone.setPeriodicWave(this.#wave);
    tone.frequency.value = pitch;
    gain.gain.setValueAtTime(0, start);
    gain.gain.linearRampToValueAtTime(LOUDNESS, start + RISE);
    gain.gain.setValueAtTime(LOUDNESS, start + pulse - RISE);
    gain.gain.linearRampToValueAtTime(0, start + pulse);
    tone.connect(gain).connect(context.destination);
    tone.start(start);
    tone.stop(start + pulse + 0.01);
  }
}
