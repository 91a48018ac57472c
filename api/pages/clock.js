/* The service's clock as this page knows it: set by every message, carried on at its speed in between. */

let origin = Date.now();
let heard = performance.now();
export let speed = 1;

/** Take the service's time from a message; `rate` is how fast that clock runs. */
export function set(ms, rate = speed) {
  origin = ms;
  speed = rate;
  heard = performance.now();
}

/** Now, in milliseconds of the service's clock. */
export function now() {
  return origin + (performance.now() - heard) * speed;
}
