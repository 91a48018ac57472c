/* The service's clock: set by every message, and advanced at its speed in between. */

let origin = Date.now();
let heard = performance.now();
let heardWall = Date.now();
/* If the wall clock ran so much further than the steady clock, the machine slept: the steady clock may stop during sleep. */
const SLEPT_MS = 3000;
export let speed = 1;

/** Set the service's time from a message; `rate` is the speed of that clock. */
export function set(ms, rate = speed) {
  origin = ms;
  speed = rate;
  heard = performance.now();
  heardWall = Date.now();
}

/** Now, in milliseconds of the service's clock. */
export function now() {
  const steady = performance.now() - heard;
  const wall = Date.now() - heardWall;
  return origin + (wall - steady > SLEPT_MS ? wall : steady) * speed;
}
