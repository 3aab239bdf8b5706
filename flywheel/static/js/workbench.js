/* The workbench: saves drafts as one types, submits without leaving the page, shows the next task at once because it
   was fetched ahead, renews the lease by activity. The page is a form that works without any of this. */

import { controlsAttach } from "./annotation-controls.js";
import { clock, draftsInit } from "./annotation-drafts.js";
import { kept } from "./annotation-kept.js";
import { keysInit } from "./annotation-keys.js";
import { leaseInit } from "./annotation-lease.js";
import { queueInit } from "./annotation-queue.js";
import { reasonInit } from "./annotation-reason.js";
import { clear, clearErrors, clearsShow, restore, touched } from "./annotation-result.js";
import { submitInit } from "./annotation-submit.js";
import { suggestionAccept, suggestionCompare, suggestionExchange } from "./annotation-suggestion.js";
import { around, find, get } from "./dom.js";
import { toast } from "./toast.js";

/** @typedef {import("./annotation-task.js").Task} Task */

const bench = get(document, "#workbench", HTMLElement);
const guidelines = get(document, "#guidelines", HTMLElement);

const queue = queueInit({ bench, started, fetched: () => lease.show(), advanced: () => lease.renew() });
const { shown } = queue;
const drafts = draftsInit({ shown, leaseShow: () => lease.show() });
const { save } = drafts;
const lease = leaseInit({ seconds: Number(bench.dataset.leaseSeconds), shown, ahead: queue.ahead, save });

/** @param {Task} task */
function started(task) {
  const typed = () => changed(task);
  const copy = kept.get(task.id);
  if (copy && task.draft.restore(copy)) {
    restore(task.form, copy.result);
    typed();
    toast("What you typed while the server was away was put back.", "ok");
  }
  clearsShow(task.form);
  controlsAttach(task.form, { root: task.form, changed: typed });
  task.form.addEventListener("input", typed);
  task.form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.submitter?.hasAttribute("data-undo")) undo();
    else submit();
  });
  suggestionCompare(task);
  if (task.savedAt) task.say(`Draft saved ${clock(task.savedAt)}`);
  if (touched(task.form)) typed();
  lease.show();
}

/** @param {Task} task */
function changed(task) {
  lease.active();
  clearErrors(task.form);
  drafts.changed(task);
  clearsShow(task.form);
  suggestionCompare(task);
}

/* -- submit and undo ----------------------------------------------------------------------------------------------- */

const submit = submitInit({
  shown,
  hold: drafts.hold,
  async answered(task) {
    queue.forget(task);
    doneCount(1);
    await queue.next();
  },
  async lost(task) {
    // The server has kept the text as a draft, or must not have it.
    queue.forget(task);
    await queue.next();
  },
});

function undo() {
  queue.move(async () => {
    await save();
    const headers = await queue.load("undo/");
    if (!headers) return;
    if (headers.get("X-Undone") === "answer") doneCount(-1);
    toast(decodeURIComponent(headers.get("X-Message") ?? ""), "ok");
  });
}

/** @param {number} step */
function doneCount(step) {
  const done = get(bench, "[data-done]", HTMLElement);
  done.textContent = String(Math.max(0, Number(done.textContent) + step));
  // Absent until the project's tasks were counted once.
  const left = find(bench, "[data-left]", HTMLElement);
  if (left) left.textContent = String(Math.max(0, Number(left.textContent) - step));
}

/* -- skip and flag ------------------------------------------------------------------------------------------------- */

/**
 * @param {FormData} data
 * @param {string} name
 */
const field = (data, name) => String(data.get(name) ?? "").trim();

/** @param {Task} task */
async function leave(task) {
  queue.forget(task);
  await queue.next();
}

const skipOpen = reasonInit("skip", {
  shown,
  before: save,
  done: leave,
  url: ({ id }) => `/api/v1/assignments/${id}/skip/`,
  read(data) {
    const reason = field(data, "other") || field(data, "reason");
    return reason ? { reason } : "Choose a reason or write one.";
  },
});

const flagOpen = reasonInit("flag", {
  shown,
  before: save,
  async done(task) {
    await leave(task);
    toast("Flagged: it waits for a lead or reviewer. What you wrote is kept. Alt+Z takes the flag back.", "ok");
  },
  url: ({ taskId }) => `/api/v1/tasks/${taskId}/flag/`,
  read(data) {
    const reason = field(data, "reason");
    const comment = field(data, "comment");
    if (!reason) return "Choose what is wrong.";
    if (reason === "other" && !comment) return "Say what is wrong: the lead decides by your comment.";
    return { reason, comment };
  },
});

/* -- keys and clicks ----------------------------------------------------------------------------------------------- */

function accept() {
  const task = shown();
  if (task) suggestionAccept(task, () => changed(task));
}

keysInit({
  shown,
  submit,
  undo,
  accept,
  changed,
  alt: {
    KeyA: accept,
    KeyS: skipOpen,
    KeyF: flagOpen,
    KeyZ: undo,
    ArrowRight: () => queue.move(() => queue.forward(save)),
    ArrowLeft: () => queue.move(() => queue.backward(save)),
  },
  plain: {
    "?": () => get(document, "#keys", HTMLDialogElement).showModal(),
    g: () => guidelines.togglePopover(),
    Escape: () => guidelines.hidePopover(),
    e: () => shown()?.reply?.focus(),
  },
});

document.addEventListener("click", (event) => {
  const task = shown();
  const button = around(event, "[data-use-suggestion], [data-use-other], [data-skip], [data-flag], [data-clear]");
  if (!button || !task) return;
  if ("useSuggestion" in button.dataset) accept();
  else if ("useOther" in button.dataset) suggestionExchange(task, button, () => changed(task));
  else if ("clear" in button.dataset) {
    clear(button);
    changed(task);
  } else {
    event.preventDefault();
    if ("skip" in button.dataset) skipOpen();
    else flagOpen();
  }
});

kept.sweep();
queue.start();
