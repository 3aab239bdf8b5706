/* The dialogs that ask why: why a task is skipped, what is wrong with one that is flagged. */

import { post } from "./annotation-net.js";

/* Gives the function that opens the dialog `id`. `read` turns the form's elements into the body to post, or into a
   sentence that says what is missing; `url` is where to; `done` is called with the task once the server has agreed. */
export function reasonInit(id, { shown, read, url, before, done }) {
  const dialog = document.getElementById(id);
  const form = dialog.querySelector("form");
  const error = form.querySelector("[data-reason-error]");
  let sending = false;

  async function send() {
    const body = read(form.elements);
    if (typeof body === "string") {
      error.textContent = body;
      return;
    }
    const task = shown();
    await before(task);
    try {
      await post(url(task), body);
    } catch (failure) {
      error.textContent = failure.message;
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
    await send().finally(() => { sending = false; });
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
    event.preventDefault();
    form.requestSubmit();
  });
  return () => {
    if (!shown() || shown().busy) return;
    error.textContent = "";
    dialog.showModal();
  };
}
