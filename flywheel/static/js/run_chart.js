/* The loss curve of a run page: asks for new points every two seconds while the run goes on and draws them with uPlot.
   Colours come from the page's tokens, so that both themes fit; without uPlot the table below the curve remains. */

import { find, get } from "./dom.js";

/** @typedef {{ step: number, loss?: number | null, eval_loss?: number | null, tokens_per_second?: number | null }} Point */
/** @typedef {{ points: Point[], seq: number, more: boolean, ended: boolean }} Answer */

const EVERY = 2_000;
const AWAY = 5_000;
const HEIGHT = 260;

/** @param {string} name of a token */
function colour(name) {
  // light-dark() is resolved by asking an element that uses it.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/**
 * A running mean over a twentieth of the curve, so that the trend is seen through the noise of single batches.
 * @param {(number | null)[]} values
 */
function smooth(values) {
  const span = Math.max(3, Math.round(values.length / 20));
  return values.map((_, index) => {
    const part = values.slice(Math.max(0, index - span + 1), index + 1).filter((value) => value !== null);
    return part.length ? part.reduce((a, b) => a + b, 0) / part.length : null;
  });
}

/**
 * @param {number} width
 * @returns {import("uplot").Options}
 */
function options(width) {
  const line = { stroke: colour("--line"), width: 1 };
  const axis = { stroke: colour("--text-3"), grid: line, ticks: line, font: "11px system-ui" };
  /**
   * @param {unknown} _
   * @param {number | null} value
   */
  const nats = (_, value) => (value == null ? "–" : value.toFixed(4));
  return {
    width,
    height: HEIGHT,
    scales: { x: { time: false } },
    axes: [
      { ...axis, values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? tick : "")) },
      { ...axis, size: 48 },
    ],
    series: [
      { label: "Step" },
      { label: "Loss", stroke: colour("--line-strong"), width: 1, points: { show: false }, value: nats },
      { label: "Running mean", stroke: colour("--accent"), width: 2, points: { show: false }, value: nats },
      {
        label: "Validation",
        stroke: colour("--warn"),
        width: 2,
        spanGaps: true,
        points: { show: true, size: 5 },
        value: nats,
      },
    ],
  };
}

/**
 * Follow a run and draw its curve.
 * @param {HTMLElement} box
 * @param {HTMLElement} now where the newest value is said
 */
function chartInit(box, now) {
  /** @type {Map<number, Point>} */
  const byStep = new Map();
  /** @type {import("uplot") | null} */
  let plot = null;
  let since = 0;
  let drawn = 0;

  function draw({ afresh = false } = {}) {
    if (!globalThis.uPlot || !byStep.size) return;
    const rows = [...byStep.values()].sort((a, b) => a.step - b.step);
    const steps = rows.map((row) => row.step);
    const loss = rows.map((row) => row.loss ?? null);
    const mean = smooth(loss);
    /** @type {import("uplot").AlignedData} */
    const data = [steps, loss, mean, rows.map((row) => row.eval_loss ?? null)];
    if (plot && afresh) {
      plot.destroy();
      plot = null;
    }
    if (plot) plot.setData(data);
    else {
      box.textContent = "";
      plot = new globalThis.uPlot(options(box.clientWidth), data, box);
    }
    const newest = mean.at(-1);
    if (newest != null) now.textContent = `step ${steps.at(-1)}: ${newest.toFixed(4)} nats per token, running mean`;
  }

  /** @param {Point[]} points */
  function pointsTake(points) {
    for (const point of points) {
      // An attempt that resumed from a checkpoint repeats steps; the newest values count.
      const given = Object.entries(point).filter(([, value]) => value !== null);
      byStep.set(point.step, { ...byStep.get(point.step), step: point.step, ...Object.fromEntries(given) });
    }
  }

  async function follow() {
    let wait = EVERY;
    try {
      const response = await fetch(`${box.dataset.url}?since=${since}`, { headers: { Accept: "application/json" } });
      if (!response.ok) throw new Error(String(response.status));
      /** @type {Answer} */
      const answer = await response.json();
      pointsTake(answer.points);
      since = answer.seq;
      if (answer.points.length) draw();
      const over = answer.ended && !answer.more;
      if (!byStep.size) empty(over ? "No step was taken." : "The curve begins with the first step.");
      if (over) return;
      if (answer.more) wait = 0;
    } catch {
      // The server is away; what is drawn stays.
      wait = AWAY;
    }
    setTimeout(follow, wait);
  }

  /** @param {string} words */
  function empty(words) {
    if (plot) return;
    const text = document.createElement("p");
    text.className = "curve-empty";
    text.textContent = words;
    box.replaceChildren(text);
  }

  document.documentElement.addEventListener("theme-change", () => draw({ afresh: true }));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw({ afresh: true }));
  new ResizeObserver(() => {
    if (!plot || box.clientWidth === drawn) return;
    drawn = box.clientWidth;
    plot.setSize({ width: drawn, height: HEIGHT });
  }).observe(box);
  follow();
}

const box = find(document, "#curve", HTMLElement);
if (box) chartInit(box, get(document, "#curve-now", HTMLElement));
