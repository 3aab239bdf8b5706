/* The loss curve of a run page: asks for new points every two seconds while the run goes on and draws them with uPlot.
   Colours come from the page's tokens, so that both themes fit; without uPlot the table below the curve remains. */

const box = document.getElementById("curve");
const now = document.getElementById("curve-now");
const byStep = new Map();
let since = 0;
let plot = null;
let drawn = 0;

function colour(name) {
  // light-dark() is resolved by asking an element that uses it.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

/* A running mean over a twentieth of the curve, so that the trend is seen through the noise of single batches. */
function smooth(values) {
  const span = Math.max(3, Math.round(values.length / 20));
  return values.map((_, index) => {
    const part = values.slice(Math.max(0, index - span + 1), index + 1).filter((v) => v !== null);
    return part.length ? part.reduce((a, b) => a + b, 0) / part.length : null;
  });
}

function columns() {
  const rows = [...byStep.values()].sort((a, b) => a.step - b.step);
  const loss = rows.map((r) => r.loss ?? null);
  return [rows.map((r) => r.step), loss, smooth(loss), rows.map((r) => r.eval_loss ?? null)];
}

function options() {
  const axis = { stroke: colour("--text-3"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "11px system-ui" };
  const nats = (_, value) => (value == null ? "–" : value.toFixed(4));
  return {
    width: box.clientWidth,
    height: 260,
    scales: { x: { time: false } },
    axes: [{ ...axis, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) ? t : "")) }, { ...axis, size: 48 }],
    series: [
      { label: "Step" },
      { label: "Loss", stroke: colour("--line-strong"), width: 1, points: { show: false }, value: nats },
      { label: "Running mean", stroke: colour("--accent"), width: 2, points: { show: false }, value: nats },
      { label: "Validation", stroke: colour("--warn"), width: 2, spanGaps: true, points: { show: true, size: 5 }, value: nats },
    ],
  };
}

function draw(afresh) {
  if (!globalThis.uPlot || !byStep.size) return;
  const data = columns();
  if (plot && afresh) {
    plot.destroy();
    plot = null;
  }
  if (plot) plot.setData(data);
  else {
    box.textContent = "";
    plot = new globalThis.uPlot(options(), data, box);
  }
  const last = data[0].length - 1;
  if (data[2][last] !== null) now.textContent = `step ${data[0][last]}: ${data[2][last].toFixed(4)} nats per token, running mean`;
}

function take(answer) {
  for (const point of answer.points) {
    // An attempt that went on from a checkpoint repeats steps; the newest counts.
    const known = byStep.get(point.step) ?? { step: point.step };
    for (const [name, value] of Object.entries(point)) if (value !== null) known[name] = value;
    byStep.set(point.step, known);
  }
  since = answer.seq;
}

async function follow() {
  let wait = 2000;
  try {
    const response = await fetch(`${box.dataset.url}?since=${since}`, { headers: { Accept: "application/json" } });
    if (!response.ok) throw new Error(String(response.status));
    const answer = await response.json();
    take(answer);
    if (answer.points.length) draw(false);
    if (answer.ended && !answer.more) {
      if (!byStep.size) empty("No step was taken.");
      return;
    }
    if (!byStep.size) empty("The curve begins with the first step.");
    if (answer.more) wait = 0;
  } catch {
    wait = 5000; // The server is away; what is drawn stays.
  }
  setTimeout(follow, wait);
}

function empty(words) {
  if (plot) return;
  box.textContent = "";
  const text = document.createElement("p");
  text.className = "curve-empty";
  text.textContent = words;
  box.append(text);
}

if (box) {
  document.documentElement.addEventListener("theme-change", () => draw(true));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));
  new ResizeObserver(() => {
    if (!plot || box.clientWidth === drawn) return;
    drawn = box.clientWidth;
    plot.setSize({ width: drawn, height: 260 });
  }).observe(box);
  follow();
}
