/* The dialogs that ask why: why a task is skipped, what is wrong with one that is flagged. */

import { get } from "./dom.js";
import { post, refusalOf } from "./net.js";

/** @typedef {import("./annotation-task.js").Task} Task */

/**
 * Returns the function that opens the dialog `id`.
 * @param {string} id
 * @param {object} page
 * @param {() => Task | null} page.shown
 * @param {(data: FormData) => Record<string, string> | string} page.read the body to send, or a sentence that says what
 *   is missing
 * @param {(task: Task) => string} page.url
 * @param {() => Promise<void>} page.before called before the request
 * @param {(task: Task) => Promise<void>} page.done called once the server has agreed
 */
export function reasonInit(id, { shown, read, url, before, done }) {
  const dialog = get(document, `dialog#${id}`, HTMLDialogElement);
  const form = get(dialog, "form", HTMLFormElement);
  const error = get(form, "[data-reason-error]", HTMLElement);
  let sending = false;

  async function send() {
    const task = shown();
    if (!task) return;
    const body = read(new FormData(form));
    if (typeof body === "string") {
      error.textContent = body;
      return;
    }
    await before();
    try {
      await post(url(task), body);
    } catch (failure) {
      error.textContent = refusalOf(failure).message;
      return;
    }
    form.reset();
    error.textContent = "";
    dialog.close();
    await done(task);
  }

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (sending) return;
    sending = true;
    await send().finally(() => {
      sending = false;
    });
  });

  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });

  return () => {
    const task = shown();
    if (!task || task.busy) return;
    error.textContent = "";
    dialog.showModal();
  };
}
