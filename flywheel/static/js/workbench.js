/* The workbench: saves drafts as one types, submits without leaving the page, shows the next task at once because it
   was fetched ahead, renews the lease by activity. The page is a form that works without any of this. */

import { showDiff } from "./annotation-diff.js";
import { keysInit } from "./annotation-keys.js";
import { leaseInit } from "./annotation-lease.js";
import { kept, post } from "./annotation-net.js";
import { reasonInit } from "./annotation-reason.js";
import { clear, clearErrors, clearsShow, collect, missing, restore, showError, touched } from "./annotation-result.js";
import { spansInit } from "./annotation-spans.js";
import { toast } from "./toast.js";

const bench = document.getElementById("workbench");
const stage = bench.querySelector("[data-stage]");
const said = bench.querySelector("[data-said]");
const base = bench.dataset.base;
const RETRIES = [1000, 3000, 8000];
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

let task = null;     // what is shown: {form, id, version, expires, leased, shownAt, dirty, busy}
let ahead = null;    // a promise of the next task's HTML, or of null
let back = [];       // assignments left with Alt+→
let saveTimer = 0;

const lease = leaseInit({
  seconds: Number(bench.dataset.leaseSeconds), shown: () => task, ahead: () => ahead, save, say,
});

/* -- showing a task ------------------------------------------------------------------------------------------------ */
function show(html) {
  stage.innerHTML = html;
  start();
  // What had the focus is gone; the task's own section says its name and lets the keys work.
  stage.querySelector(".wb-source")?.focus({ preventScroll: true });
  window.scrollTo(0, 0);
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
  clearsShow(form);
  spansInit(form, changed);
  form.addEventListener("input", changed);
  form.addEventListener("submit", submitted);
  diff();
  if (data.saved) say(`Draft saved ${clock(data.saved)}`);
  if (touched(form)) changed();
  lease.show();
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
  return `${new Date(value).toLocaleTimeString("en-GB", { timeZone: "UTC" })} UTC`;
}

function say(text, tone = "") {
  const state = task?.form.querySelector("[data-state]");
  if (!state) return;
  state.textContent = text;
  state.className = tone;
  // What goes well every few seconds is not read out.
  said.textContent = tone ? text : "";
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
  lease.active();
  clearErrors(task.form);
  kept.put(task.id, { version: task.version, result: collect(task.form) });
  say("Typing…");
  clearsShow(task.form);
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
    if (saved.version === version && answer.saved) kept.drop(saved.id);
    if (saved !== task) return;
    if (!answer.held) say(answer.message, "bad");
    else if (answer.saved) say(`Draft saved ${clock(answer.saved_at)}`);
    else elsewhere(saved, answer);
    lease.show();
  } catch (error) {
    saved.dirty = true;
    if (saved === task) saveFailed(error);
  }
}

/* Another window has saved a newer draft. Nothing is overwritten unasked: who types on here means this one to count. */
function elsewhere(saved, answer) {
  saved.version = Math.max(saved.version, answer.version);
  say(`Not saved: another window saved this draft at ${clock(answer.saved_at)}. Reload to see it, or type on to replace it.`, "bad");
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
  const focused = document.activeElement;
  busy(sent, true);
  say("Submitting…");
  const pressed = performance.now();
  try {
    await send(sent);
  } catch (error) {
    busy(sent, false);
    focused.focus({ preventScroll: true });
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
  // A fault of what is not on this page: the project's labels were changed while it was open.
  const elsewhere = error.field && !control ? `${error.message}. Reload the page to see the project's labels as they are now; what you wrote is kept.` : "";
  say(error.passing ? "Not submitted: the server is away. Your answer is kept; submit again." : elsewhere || error.message, "bad");
  if (["lease_lost", "withdrawn", "answered", "flagged", "closed"].includes(error.code)) lost(error);
}

async function lost(error) {
  toast(error.message, "bad", 12);
  // The server has kept it as a draft, or must not have it.
  kept.drop(task.id);
  await next();
}

function busy(which, on) {
  which.busy = on;
  for (const button of which.form.querySelectorAll("[data-submit], [data-undo]")) button.disabled = on;
  // The answer is on its way: what is typed now would not be in it.
  which.form.querySelector(".wb-controls").inert = on;
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
    lease.show();
    return response.status === 204 ? null : await response.text();
  } catch {
    return null;
  }
}

/* Show the task fetched ahead; without one ask the server, which also knows why none is left. */
async function next() {
  const html = await ahead;
  ahead = null;
  if (html) {
    show(html);
    lease.renew();
  } else if (!(await load(`${base}task/`))) show(bench.querySelector("template[data-away]").innerHTML);
}

async function load(url) {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await post(url, {}, { form: true });
      show(await response.text());
      return response;
    } catch (error) {
      if (!error.passing || attempt >= RETRIES.length) {
        toast(error.message, "bad", 10);
        return null;
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
    toast("You have no other task to look at.");
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
  const response = await load(`${base}undo/`);
  if (!response) return;
  if (response.headers.get("X-Undone") === "answer") count(-1);
  toast(decodeURIComponent(response.headers.get("X-Message") ?? ""), "ok");
}

/* -- skip and flag -------------------------------------------------------------------------------------------------- */
async function left(which) {
  kept.drop(which.id);
  back = back.filter((id) => id !== which.id);
  await next();
}

const skipOpen = reasonInit("skip", {
  shown: () => task, before: () => save(), done: left,
  url: ({ id }) => `/api/v1/assignments/${id}/skip/`,
  read: ({ other, reason }) => {
    const words = other.value.trim() || reason.value;
    return words ? { reason: words } : "Choose a reason or write one.";
  },
});

const flagOpen = reasonInit("flag", {
  shown: () => task, before: () => save(),
  done: async (which) => {
    await left(which);
    toast("Flagged: it waits for a lead or reviewer. What you wrote is kept. Alt+Z takes the flag back.", "ok");
  },
  url: ({ form }) => `/api/v1/tasks/${form.dataset.task}/flag/`,
  read: ({ comment, reason }) => {
    if (!reason.value) return "Choose what is wrong.";
    if (reason.value === "other" && !comment.value.trim()) return "Say what is wrong: the lead decides by your comment.";
    return { reason: reason.value, comment: comment.value };
  },
});

/* -- keys and clicks ------------------------------------------------------------------------------------------------------ */
/* Accept a suggestion: its text becomes the reply, and what is still to be answered gets the focus, else Submit. */
function useSuggestion(text) {
  const field = replyField();
  if (!field || task.busy) return;
  if (!text) {
    toast("This task has no suggestion.");
    return;
  }
  if (field.value !== text) replace(field, text);
  const open = missing(task.form)[0];
  (open?.querySelector("input:not([type=hidden]), textarea, button") ?? task.form.querySelector("[data-submit]")).focus();
}

/* As if it were typed, so that Ctrl+Z in the field brings back what stood there. */
function replace(field, text) {
  field.focus();
  field.select();
  if (document.execCommand("insertText", false, text) && field.value === text) return;
  field.value = text;
  changed();
}

const accept = () => useSuggestion(suggestionText());

keysInit({
  shown: () => task, submit, undo, accept, changed,
  alt: {
    KeyA: accept,
    KeyS: skipOpen,
    KeyF: flagOpen,
    KeyZ: undo,
    ArrowRight: forward,
    ArrowLeft: backward,
  },
  plain: {
    "?": () => document.getElementById("keys").showModal(),
    g: () => document.getElementById("guidelines").togglePopover(),
    Escape: () => document.getElementById("guidelines").hidePopover(),
    e: () => replyField()?.focus(),
  },
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-use-suggestion], [data-use-other], [data-skip], [data-flag], [data-clear]");
  if (!button) return;
  if ("useSuggestion" in button.dataset) accept();
  else if ("useOther" in button.dataset) useOther(button);
  else if ("clear" in button.dataset) {
    clear(button);
    changed();
  }
  else {
    event.preventDefault();
    if ("skip" in button.dataset) skipOpen();
    else flagOpen();
  }
});

/* Another suggestion takes the first one's place: it is what the answer is measured against from then on. */
function useOther(button) {
  const id = button.dataset.useOther;
  const text = task.form.querySelector(`template[data-other-text="${id}"]`).content.textContent;
  task.form.elements.suggestion_id.value = id;
  task.form.querySelector("template[data-suggestion]").content.textContent = text;
  task.form.querySelector(".control-origin strong").textContent = button.dataset.origin;
  task.form.querySelector("[data-score]").textContent = button.dataset.otherScore;
  useSuggestion(text);
}

kept.sweep();
start();
