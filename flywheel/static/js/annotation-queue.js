/* Which task is in view: the next one is fetched ahead and shown at once, earlier ones can be gone back to. */

import { kept } from "./annotation-kept.js";
import { Task } from "./annotation-task.js";
import { find, get } from "./dom.js";
import { refusalOf, retrying, send } from "./net.js";
import { toast } from "./toast.js";

/** A task held ahead, as the part of the page that shows it. @typedef {{ html: string, id: string, leased: string }} Ahead */

/**
 * @param {object} page
 * @param {HTMLElement} page.bench
 * @param {(task: Task) => void} page.started called with each task that comes into view
 * @param {() => void} page.fetched called when a task ahead was asked for
 * @param {() => void} page.advanced called when the task fetched ahead has come into view
 */
export function queueInit({ bench, started, fetched, advanced }) {
  const stage = get(bench, "[data-stage]", HTMLElement);
  const base = bench.dataset.base ?? "";
  /** @type {Task | null} */
  let task = null;
  /** @type {Promise<Ahead | null>} */
  let ahead = Promise.resolve(null);
  /** @type {string[]} */
  let earlier = [];
  let moving = false;

  /** @param {string} html */
  function show(html) {
    stage.innerHTML = html;
    start();
    // What had the focus is gone; the task's own section says its name and lets the keys work.
    find(stage, ".wb-source", HTMLElement)?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  /** Take up the task that the page holds, or none. */
  function start() {
    const form = find(stage, "form.wb-task", HTMLFormElement);
    task = form && new Task(form);
    if (!task) {
      ahead = Promise.resolve(null);
      find(stage, "a, button", HTMLElement)?.focus();
      return;
    }
    started(task);
    ahead = fetchAhead(task);
  }

  /**
   * @param {Task} current
   * @returns {Promise<Ahead | null>}
   */
  async function fetchAhead(current) {
    try {
      const { status, text } = await send(`${base}ahead/`, { body: new URLSearchParams({ current: current.id }) });
      fetched();
      if (status === 204) return null;
      const page = new DOMParser().parseFromString(text, "text/html");
      const form = find(page, "form.wb-task", HTMLFormElement);
      return form && { html: text, id: form.dataset.assignment ?? "", leased: form.dataset.leased ?? "" };
    } catch (error) {
      // Without it the next task is asked for when it is needed, and a trouble that lasts is said then.
      refusalOf(error);
      return null;
    }
  }

  /**
   * Show what the server answers. Returns its headers, or null when it did not answer, which is said.
   * @param {string} path
   */
  async function load(path) {
    try {
      const answer = await retrying(() => send(base + path, { body: new URLSearchParams() }));
      show(answer.text);
      return answer.headers;
    } catch (error) {
      toast(refusalOf(error).message, "bad", 10);
      return null;
    }
  }

  /** Show the task fetched ahead; without one ask the server, which also knows why none is left. */
  async function next() {
    const found = await ahead;
    ahead = Promise.resolve(null);
    if (found) {
      show(found.html);
      advanced();
    } else if (!(await load("task/"))) show(get(bench, "template[data-away]", HTMLTemplateElement).innerHTML);
  }

  /**
   * Move while no other move is in progress: a second key would take the same step again.
   * @param {() => Promise<void>} step
   */
  async function move(step) {
    if (moving || task?.busy) return;
    moving = true;
    await step().finally(() => {
      moving = false;
    });
  }

  /** @param {() => Promise<void>} save */
  async function forward(save) {
    await save();
    const found = await ahead;
    if (!task || task.busy) return;
    if (!found) {
      toast("You have no other task to look at.");
      ahead = fetchAhead(task);
      return;
    }
    earlier.push(task.id);
    show(found.html);
  }

  /** @param {() => Promise<void>} save */
  async function backward(save) {
    const previous = earlier.pop();
    if (!previous) {
      toast("This is the first task. Alt+Z takes your last answer back.");
      return;
    }
    await save();
    await load(`open/${previous}/`);
  }

  return {
    shown: () => task,
    ahead: () => ahead,
    start,
    next,
    load,
    move,
    forward,
    backward,
    /**
     * Forget a task that needs nothing more from this browser.
     * @param {Task} done
     */
    forget({ id }) {
      kept.drop(id);
      earlier = earlier.filter((one) => one !== id);
    },
  };
}
