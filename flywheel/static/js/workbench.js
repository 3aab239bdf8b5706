/* The workbench: saves drafts as one types, submits without leaving the page, shows the next task at once because it
   was fetched ahead, renews the lease by activity. The page is a form that works without any of this. */

import { showDiff } from "./annotation-diff.js";
import { keysInit } from "./annotation-keys.js";
import { kept, post, Refusal } from "./annotation-net.js";
import { clearErrors, collect, missing, restore, showError } from "./annotation-result.js";
import { skipInit } from "./annotation-skip.js";
import { spansInit } from "./annotation-spans.js";
import { toast } from "./toast.js";

const bench = document.getElementById("workbench");
const stage = bench.querySelector("[data-stage]");
const base = bench.dataset.base;
const leaseMs = Number(bench.dataset.leaseSeconds) * 1000;
const RETRIES = [1000, 3000, 8000];
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

let task = null;     // what is shown: {form, id, version, expires, leased, shownAt, dirty, busy}
let ahead = null;    // a promise of the next task's HTML, or of null
let back = [];       // assignments left with Alt+→
let saveTimer = 0;
let lastActivity = Date.now();
let renewing = false;

/* -- showing a task ------------------------------------------------------------------------------------------------ */
function show(html) {
  stage.innerHTML = html;
  start();
}

function start() {
  const form = stage.querySelector("form.wb-task");
  if (!form) {
    task = null;
    ahead = null;
    stage.querySelector("a, button")?.focus();
    return;
  }
  const data = form.dataset;
  task = {
    form, id: data.assignment, version: Number(data.version), expires: Date.parse(data.expires), leased: data.leased,
    shownAt: performance.now(), away: 0, dirty: false, busy: false, retry: 0,
  };
  restoreKept();
  spansInit(form, changed);
  form.addEventListener("input", changed);
  form.addEventListener("submit", submitted);
  diff();
  if (data.saved) say(`Draft saved ${clock(data.saved)}`);
  leaseShow();
  ahead = fetchAhead();
}

function restoreKept() {
  const local = kept.get(task.id);
  if (!local || local.version <= task.version) return;
  restore(task.form, local.result);
  task.version = local.version;
  changed();
  toast("What you typed while the server was away was put back.", "ok");
}

function clock(value) {
  return new Date(value).toLocaleTimeString("en-GB");
}

function say(text, tone = "") {
  const state = task?.form.querySelector("[data-state]");
  if (!state) return;
  state.textContent = text;
  state.className = tone;
}

function replyField() {
  return task?.form.querySelector(".control-reply textarea, .control-text textarea");
}

function suggestionText() {
  return task?.form.querySelector("template[data-suggestion]")?.content.textContent ?? "";
}

function diff() {
  const box = task?.form.querySelector("[data-diff]");
  if (box) showDiff(box, suggestionText(), replyField().value);
}

/* -- drafts ---------------------------------------------------------------------------------------------------------- */
function changed() {
  if (!task) return;
  task.dirty = true;
  task.version += 1;
  lastActivity = Date.now();
  clearErrors(task.form);
  kept.put(task.id, { version: task.version, result: collect(task.form) });
  say("Typing…");
  diff();
  clearTimeout(saveTimer);
  saveTimer = setTimeout(save, 700);
}

async function save({ keepalive = false } = {}) {
  clearTimeout(saveTimer);
  const saved = task;
  if (!saved || !saved.dirty || saved.busy) return;
  const version = saved.version;
  saved.dirty = false;
  try {
    const response = await post(`/api/v1/assignments/${saved.id}/draft/`, { draft: collect(saved.form), version }, { keepalive });
    const answer = await response.json();
    saved.expires = Date.parse(answer.expires_at);
    saved.retry = 0;
    if (saved.version === version) kept.drop(saved.id);
    if (saved !== task) return;
    if (answer.held) say(`Draft saved ${clock(answer.saved_at)}`);
    else say(answer.message, "bad");
    leaseShow();
  } catch (error) {
    saved.dirty = true;
    if (saved === task) saveFailed(error);
  }
}

function saveFailed(error) {
  if (!error.passing) {
    say(error.message, "bad");
    return;
  }
  say("Not saved yet: the server is away. Your text is kept in this browser; trying again.", "bad");
  task.retry = Math.min(task.retry + 1, 5);
  saveTimer = setTimeout(save, 1000 * 2 ** task.retry);
}

/* -- submit ---------------------------------------------------------------------------------------------------------- */
function submitted(event) {
  if (event.submitter?.hasAttribute("data-undo")) {
    event.preventDefault();
    undo();
    return;
  }
  event.preventDefault();
  submit();
}

async function submit() {
  if (!task || task.busy) return;
  clearErrors(task.form);
  const empty = missing(task.form);
  if (empty.length) {
    showError(empty[0], "Needed before you can submit.");
    return;
  }
  clearTimeout(saveTimer);
  const sent = task;
  busy(sent, true);
  say("Submitting…");
  const pressed = performance.now();
  try {
    await send(sent);
  } catch (error) {
    busy(sent, false);
    submitFailed(error);
    return;
  }
  kept.drop(sent.id);
  back = back.filter((id) => id !== sent.id);
  count(1);
  await next();
  bench.dataset.switchMs = Math.round(performance.now() - pressed);
}

/* The page's submission_id makes a repeated submit the same answer, so trying again is always safe. */
async function send(sent) {
  const fields = sent.form.elements;
  const body = {
    result: collect(sent.form), submission_id: fields.submission_id.value,
    lead_time_seconds: Math.round((performance.now() - sent.shownAt - sent.away) / 100) / 10,
    suggestion_id: Number(fields.suggestion_id.value) || null,
  };
  for (let attempt = 0; ; attempt++) {
    try {
      return await post(`/api/v1/assignments/${sent.id}/submit/`, body);
    } catch (error) {
      if (!error.passing || attempt >= RETRIES.length) throw error;
      say(`Not saved yet: ${error.message} Trying again…`, "bad");
      await wait(RETRIES[attempt]);
    }
  }
}

function submitFailed(error) {
  const control = error.field && task.form.querySelector(`[data-control="${CSS.escape(error.field)}"]`);
  if (control) showError(control, error.message);
  kept.put(task.id, { version: task.version + 1, result: collect(task.form) });
  say(error.passing ? "Not submitted: the server is away. Your answer is kept; submit again." : error.message, "bad");
  if (["lease_lost", "withdrawn", "answered"].includes(error.code)) lost(error);
}

async function lost(error) {
  toast(error.message, "bad", 12);
  if (error.code !== "lease_lost") kept.drop(task.id);
  await next();
}

function busy(which, on) {
  which.busy = on;
  for (const button of which.form.querySelectorAll("[data-submit], [data-undo]")) button.disabled = on;
  which.form.setAttribute("aria-busy", on);
}

function count(step) {
  const done = bench.querySelector("[data-done]");
  done.textContent = Math.max(0, Number(done.textContent) + step);
  const left = bench.querySelector("[data-left]");
  if (left) left.textContent = Math.max(0, Number(left.textContent) - step);
}

/* -- the next task ----------------------------------------------------------------------------------------------------- */
async function fetchAhead() {
  const current = task.id;
  try {
    const response = await post(`${base}ahead/`, { current }, { form: true });
    return response.status === 204 ? null : await response.text();
  } catch {
    return null;
  }
}

/* Show the task fetched ahead; without one ask the server, which also knows why there is none. */
async function next() {
  const html = await ahead;
  ahead = null;
  if (html) {
    show(html);
    renew();
  } else await load(`${base}task/`);
}

async function load(url) {
  for (let attempt = 0; ; attempt++) {
    try {
      show(await (await post(url, {}, { form: true })).text());
      return true;
    } catch (error) {
      if (!error.passing || attempt >= RETRIES.length) {
        toast(error.message, "bad", 10);
        return false;
      }
      await wait(RETRIES[attempt]);
    }
  }
}

async function forward() {
  if (!task || task.busy) return;
  await save();
  const html = await ahead;
  if (!html) {
    toast("There is no other task for you to look at.");
    ahead = fetchAhead();
    return;
  }
  back.push(task.id);
  show(html);
}

async function backward() {
  if (!task || task.busy) return;
  const previous = back.pop();
  if (!previous) {
    toast("This is the first task. Alt+Z takes your last answer back.");
    return;
  }
  await save();
  await load(`${base}open/${previous}/`);
}

async function undo() {
  if (task?.busy) return;
  await save();
  if (await load(`${base}undo/`)) {
    count(-1);
    toast("Your last answer is yours again; change it and submit.", "ok");
  }
}

const skipOpen = skipInit({ shown: () => task, done: next });

/* -- the lease --------------------------------------------------------------------------------------------------------- */
function leaseShow() {
  const box = task?.form.querySelector("[data-lease]");
  if (!box) return;
  const left = task.expires - Date.now();
  box.className = left < 120000 ? "warn" : "";
  box.textContent = left <= 0 ? "Lease ended: go on typing to take it up again"
    : left < 120000 ? `Kept for you ${Math.ceil(left / 1000)} s more` : `Kept for you ${Math.round(left / 60000)} min`;
}

async function renew() {
  const held = task;
  if (!held || renewing) return;
  renewing = true;
  try {
    const response = await post(`/api/v1/assignments/${held.id}/renew/`, {});
    held.expires = Date.parse((await response.json()).expires_at);
  } catch (error) {
    if (error instanceof Refusal && !error.passing && held === task && !held.busy) say(error.message, "bad");
  } finally {
    renewing = false;
  }
  leaseShow();
}

setInterval(() => {
  leaseShow();
  const used = leaseMs - (task ? task.expires - Date.now() : leaseMs);
  // Activity in the last minute keeps the lease; nobody at the desk lets it run out.
  if (task && !document.hidden && Date.now() - lastActivity < 60000 && used > Math.min(leaseMs / 3, 120000)) renew();
}, 5000);

for (const name of ["pointermove", "keydown", "wheel"]) document.addEventListener(name, () => { lastActivity = Date.now(); }, { passive: true });

let hiddenAt = 0;
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    hiddenAt = performance.now();
    save({ keepalive: true });
  } else {
    if (task && hiddenAt) task.away += performance.now() - hiddenAt;
    lastActivity = Date.now();
  }
});

/* Leaving: the draft goes out with the page; tasks without a draft are given back at once. */
window.addEventListener("pagehide", () => {
  if (!task) return;
  if (task.dirty) save({ keepalive: true });
  else post(`/api/v1/assignments/${task.id}/release/`, { leased_at: task.leased }, { keepalive: true }).catch(() => {});
  ahead?.then?.((html) => release(html));
});

/* Back from the browser's page cache: the lease was given back on leaving. */
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

function release(html) {
  const id = html && /data-assignment="(\d+)"/.exec(html)?.[1];
  const leased = html && /data-leased="([^"]+)"/.exec(html)?.[1];
  if (id) post(`/api/v1/assignments/${id}/release/`, { leased_at: leased }, { keepalive: true }).catch(() => {});
}

/* -- keys and clicks ------------------------------------------------------------------------------------------------------ */
function useSuggestion(text) {
  const field = replyField();
  if (!field) return;
  field.value = text;
  changed();
  const open = missing(task.form)[0];
  (open?.querySelector("input, textarea") ?? field).focus();
}

keysInit({
  shown: () => task, submit, undo, changed,
  alt: {
    KeyA: () => useSuggestion(suggestionText()),
    KeyS: skipOpen,
    KeyZ: undo,
    ArrowRight: forward,
    ArrowLeft: backward,
  },
  plain: {
    "?": () => document.getElementById("keys").showModal(),
    g: () => document.getElementById("guidelines").togglePopover(),
    e: () => replyField()?.focus(),
  },
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-use-suggestion], [data-use-other], [data-skip]");
  if (!button) return;
  if ("useSuggestion" in button.dataset) useSuggestion(suggestionText());
  else if ("skip" in button.dataset) {
    event.preventDefault();
    skipOpen();
  } else useOther(button);
});

/* Another suggestion takes the first one's place: it is what the answer is measured against from then on. */
function useOther(button) {
  const id = button.dataset.useOther;
  const text = task.form.querySelector(`template[data-other-text="${id}"]`).content.textContent;
  task.form.elements.suggestion_id.value = id;
  task.form.querySelector("template[data-suggestion]").content.textContent = text;
  task.form.querySelector(".control-origin strong").textContent = button.dataset.origin;
  useSuggestion(text);
}

kept.sweep();
start();
