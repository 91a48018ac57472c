/* The service's clock as this page knows it: set by every message, carried on at its speed in between. */

let origin = Date.now();
let heard = performance.now();
let heardWall = Date.now();
/* So much more on the wall than on the steady clock means that the machine slept, in which the steady one may stand still. */
const SLEPT_MS = 3000;
export let speed = 1;

/** Take the service's time from a message; `rate` is how fast that clock runs. */
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
