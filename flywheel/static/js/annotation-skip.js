/* The dialog that asks why a task is skipped. */

import { kept, post } from "./annotation-net.js";

/* Gives the function that opens the dialog; `done` is called once the task is skipped. */
export function skipInit({ shown, done }) {
  const dialog = document.getElementById("skip");
  const form = dialog.querySelector("form");
  const error = form.querySelector("[data-skip-error]");

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const reason = form.elements.other.value.trim() || form.elements.reason.value;
    if (!reason) {
      error.textContent = "Choose a reason or write one.";
      return;
    }
    const { id } = shown();
    try {
      await post(`/api/v1/assignments/${id}/skip/`, { reason });
    } catch (failure) {
      error.textContent = failure.message;
      return;
    }
    kept.drop(id);
    form.reset();
    error.textContent = "";
    dialog.close();
    await done();
  });
  return () => dialog.showModal();
}
