/* One canvas of a tile: the readings, the forecast and the limits. */

import { horizons } from "../shared/signals.js";

export const COLOURS = {
  line: "#c9d4df", old: "#6f7c88", now: "#46525e", limit: "#7d5a5a", fan: "rgb(108 182 255 / 24%)", median: "#6cb6ff",
};

/** The forecast's quantiles as {minutes, low, mid, high}; a ward's entry has three per horizon, a patient's seven. */
export function fan(forecast) {
  const minutes = horizons();
  return (forecast ?? []).map((row, i) => ({
    minutes: minutes[i], low: row[0], mid: row[(row.length - 1) / 2], high: row[row.length - 1],
  })).filter(({ low, mid, high }) => [low, mid, high].every(Number.isFinite));
}

function bounds(trace, ahead, limits) {
  let low = Math.min(...trace.low, ...ahead.map((point) => point.low));
  let high = Math.max(...trace.high, ...ahead.map((point) => point.high));
  if (limits.low !== null && Number.isFinite(limits.low)) low = Math.min(low, limits.low);
  if (limits.high !== null && Number.isFinite(limits.high)) high = Math.max(high, limits.high);
  if (!Number.isFinite(low) || !Number.isFinite(high)) return null;
  const pad = Math.max((high - low) * 0.08, 0.5);
  return [low - pad, high + pad];
}

/* Sizes reported by the browser: reading a canvas's size in every frame would force a layout each time. */
const sizes = new WeakMap();
const measured = new ResizeObserver((changes) => {
  for (const { target, contentRect } of changes) {
    sizes.set(target, contentRect);
    target.dispatchEvent(new Event("measured", { bubbles: true }));
  }
});

/** Follow a canvas's size. It emits "measured" whenever the size changes; nothing is drawn before the first one. */
export function follow(canvas) {
  measured.observe(canvas);
  return canvas;
}

/** Fit the canvas to its box, sharp on high-resolution screens; null while it has no size. */
function surface(canvas) {
  const box = sizes.get(canvas);
  const ratio = Math.min(devicePixelRatio || 1, 2);
  const width = Math.round((box?.width ?? 0) * ratio);
  const height = Math.round((box?.height ?? 0) * ratio);
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  return { context, width, height, ratio };
}

/**
 * Draw a trace and its forecast. `now` in ms; `span` {back, ahead} in minutes; `at` the time the forecast starts;
 * `old` draws in grey without the forecast, for a silent signal.
 */
export function draw(canvas, { trace, forecast, at, now, span, limits, old, gap }) {
  const room = surface(canvas);
  if (!room) return;
  const { context, width, height, ratio } = room;
  const ahead = old ? [] : fan(forecast).filter(({ minutes }) => minutes <= span.ahead);
  const range = bounds(trace, ahead, limits);
  const start = now - span.back * 60000;
  const x = (ms) => ((ms - start) / ((span.back + span.ahead) * 60000)) * width;
  const here = Math.round(x(now)) + 0.5;
  rule(context, here, 0, here, height, COLOURS.now, ratio);
  if (!range) return;
  const y = (value) => height - ((value - range[0]) / (range[1] - range[0])) * height;
  for (const limit of [limits.low, limits.high]) {
    if (limit === null || !Number.isFinite(limit)) continue;
    context.setLineDash([3 * ratio, 3 * ratio]);
    rule(context, 0, y(limit), width, y(limit), COLOURS.limit, ratio);
    context.setLineDash([]);
  }
  if (ahead.length) drawFan(context, ahead, trace, { x, y, at, ratio });
  drawTrace(context, trace, { x, y, start, gap, ratio, colour: old ? COLOURS.old : COLOURS.line });
}

function rule(context, x1, y1, x2, y2, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
  context.stroke();
}

function drawFan(context, ahead, trace, { x, y, at, ratio }) {
  const from = trace.last.at(-1) ?? ahead[0].mid;
  const places = ahead.map(({ minutes }) => x(at + minutes * 60000));
  context.fillStyle = COLOURS.fan;
  context.beginPath();
  context.moveTo(x(at), y(from));
  ahead.forEach((point, i) => context.lineTo(places[i], y(point.high)));
  for (let i = ahead.length - 1; i >= 0; i--) context.lineTo(places[i], y(ahead[i].low));
  context.fill();
  context.strokeStyle = COLOURS.median;
  context.lineWidth = 1.5 * ratio;
  context.setLineDash([4 * ratio, 3 * ratio]);
  context.beginPath();
  context.moveTo(x(at), y(from));
  ahead.forEach((point, i) => context.lineTo(places[i], y(point.mid)));
  context.stroke();
  context.setLineDash([]);
}

/** The line of readings. A pause longer than `gap` ms breaks it, so that missing data is visible. */
function drawTrace(context, trace, { x, y, start, gap, ratio, colour }) {
  const first = trace.time.findIndex((time) => time >= start);
  if (first < 0) return;
  context.strokeStyle = colour;
  context.lineWidth = 1.5 * ratio;
  context.lineJoin = "round";
  context.beginPath();
  for (let i = first; i < trace.time.length; i++) {
    const across = x(trace.time[i]);
    if (i === first || trace.time[i] - trace.time[i - 1] > gap) context.moveTo(across, y(trace.last[i]) + 0.01);
    if (trace.high[i] > trace.low[i]) {
      context.lineTo(across, y(trace.high[i]));
      context.lineTo(across, y(trace.low[i]));
    }
    context.lineTo(across, y(trace.last[i]));
  }
  context.stroke();
}
