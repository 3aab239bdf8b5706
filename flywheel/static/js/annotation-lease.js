/* The lease on the task in view: shown, renewed by activity, given back on leaving. */

import { post, Refusal, serverNow } from "./annotation-net.js";

const SOON = 120000;

/* `shown()` gives the task in view or null, `ahead()` the promise of the next one's HTML, `save` keeps the draft. */
export function leaseInit({ seconds, shown, ahead, save, say }) {
  const whole = seconds * 1000;
  let lastActivity = Date.now();
  let renewing = false;
  let hiddenAt = 0;

  function show() {
    const task = shown();
    const box = task?.form.querySelector("[data-lease]");
    if (!box) return;
    const left = task.expires - serverNow();
    box.className = left < SOON ? "warn" : "";
    box.textContent = left <= 0 ? "Lease ended: go on typing to take it up again"
      : left < SOON ? `Kept for you ${Math.ceil(left / 1000)} s more` : `Kept for you ${Math.round(left / 60000)} min`;
  }

  async function renew() {
    const held = shown();
    if (!held || renewing) return;
    renewing = true;
    try {
      const response = await post(`/api/v1/assignments/${held.id}/renew/`, {});
      held.expires = Date.parse((await response.json()).expires_at);
    } catch (error) {
      if (error instanceof Refusal && !error.passing && held === shown() && !held.busy) say(error.message, "bad");
    } finally {
      renewing = false;
    }
    show();
  }

  setInterval(() => {
    show();
    const task = shown();
    const used = whole - (task ? task.expires - serverNow() : whole);
    // Activity in the last minute keeps the lease; without any it runs out.
    if (task && !document.hidden && Date.now() - lastActivity < 60000 && used > Math.min(whole / 3, SOON)) renew();
  }, 5000);

  const active = () => { lastActivity = Date.now(); };
  for (const name of ["pointermove", "keydown", "wheel"]) document.addEventListener(name, active, { passive: true });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      hiddenAt = performance.now();
      save({ keepalive: true });
    } else {
      const task = shown();
      if (task && hiddenAt) task.away += performance.now() - hiddenAt;
      active();
    }
  });

  /* Leaving: the draft goes out with the page; tasks without a draft are given back at once. */
  window.addEventListener("pagehide", () => {
    const task = shown();
    if (!task) return;
    if (task.dirty) save({ keepalive: true });
    else release(task.id, task.leased);
    ahead()?.then?.((html) => {
      const id = html && /data-assignment="(\d+)"/.exec(html)?.[1];
      if (id) release(id, /data-leased="([^"]+)"/.exec(html)?.[1]);
    });
  });

  /* Back from the browser's page cache: the lease was given back on leaving. */
  window.addEventListener("pageshow", (event) => {
    if (event.persisted) location.reload();
  });

  return { show, renew, active };
}

function release(id, leased) {
  post(`/api/v1/assignments/${id}/release/`, { leased_at: leased }, { keepalive: true }).catch(() => {});
}
