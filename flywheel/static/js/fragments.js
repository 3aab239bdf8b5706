/* Parts of a page that the server renders anew: work in progress refreshes itself, and a preview follows what is typed.
   The server knows such a request by `X-Requested-With: fragment`. */

import { all, find } from "./dom.js";
import { refusalOf, send } from "./net.js";
import { toast } from "./toast.js";

const REFRESH = 2_000;
const PAUSE = 400;
const FOCUSABLE = "a[href], button, summary, input, select, textarea";

let away = false;

/** Make the parts of the page work: `data-refresh`, and `data-preview` with `data-preview-of`. */
export function fragmentsInit() {
  for (const part of all(document, "[data-refresh]", HTMLElement)) refreshLater(part);
  for (const box of all(document, "[data-preview]", HTMLElement)) previewInit(box);
}

/** @param {HTMLElement} part */
function refreshLater(part) {
  setTimeout(() => refresh(part), REFRESH);
}

/**
 * Replace a part of the page by what its address answers, again and again until the answer has no address.
 * @param {HTMLElement} part
 */
async function refresh(part) {
  if (!part.isConnected || !part.dataset.refresh) return;
  try {
    const { headers, text } = await send(part.dataset.refresh, { method: "GET", by: "fragment" });
    away = false;
    if (headers.has("X-Reload")) location.reload();
    else partReplace(part, text);
  } catch (error) {
    const refusal = refusalOf(error);
    if (refusal.signedOut) signIn();
    else if (!refusal.passing) toast(refusal.message, "bad", 10);
    else {
      // Said once, because several parts ask every two seconds.
      if (!away) toast(`${refusal.message} This page goes on by itself when it answers again.`, "bad", 10);
      away = true;
      refreshLater(part);
    }
  }
}

/**
 * Put the answer in place: its first element instead of the part, each further one instead of that with its id.
 * @param {HTMLElement} part
 * @param {string} html
 */
function partReplace(part, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  const [first, ...others] = [...template.content.children].filter((element) => element instanceof HTMLElement);
  for (const other of others) {
    const old = document.getElementById(other.id);
    if (old) replaceWithFocus(old, other);
  }
  if (!first) return;
  replaceWithFocus(part, first);
  refreshLater(first);
}

/**
 * Replace an element; what had the focus in it has it again in the new one.
 * @param {HTMLElement} old
 * @param {HTMLElement} fresh
 */
function replaceWithFocus(old, fresh) {
  const { activeElement } = document;
  const place = activeElement ? [...old.querySelectorAll(FOCUSABLE)].indexOf(activeElement) : -1;
  old.replaceWith(fresh);
  if (place !== -1) all(fresh, FOCUSABLE, HTMLElement)[place]?.focus({ preventScroll: true });
}

/**
 * Show in a box what the server makes of a field or form, now and after each pause in typing.
 * @param {HTMLElement} box
 */
function previewInit(box) {
  const source = find(document, box.dataset.previewOf ?? "", HTMLElement);
  if (!source) return;
  let timer = 0;
  let last = "";
  let request = new AbortController();

  async function preview() {
    const fields = fieldsOf(source);
    if (!fields || String(fields) === last) return;
    last = String(fields);
    // An answer about what was typed earlier must not replace a later one.
    request.abort();
    request = new AbortController();
    const { signal } = request;
    try {
      box.innerHTML = await previewOf(box.dataset.preview ?? "", fields, { signal, posted: !isForm(source) });
    } catch (error) {
      if (signal.aborted) return;
      last = "";
      const refusal = refusalOf(error);
      if (refusal.signedOut) signIn();
      else
        toast(
          refusal.passing ? `${refusal.message} Nothing was lost; type on to try again.` : refusal.message,
          "bad",
          10,
        );
    }
  }

  for (const name of ["input", "change"]) {
    source.addEventListener(name, () => {
      clearTimeout(timer);
      timer = setTimeout(preview, PAUSE);
    });
  }
  preview();
}

/** @param {HTMLElement | null} source */
const isForm = (source) => source instanceof HTMLFormElement;

/**
 * What a form or a single field would send, without the token that no preview needs.
 * @param {HTMLElement | null} source
 */
function fieldsOf(source) {
  if (source instanceof HTMLTextAreaElement) return new URLSearchParams({ [source.name]: source.value });
  if (!(source instanceof HTMLFormElement)) return null;
  const fields = new URLSearchParams([...new FormData(source)].map(([name, value]) => [name, String(value)]));
  fields.delete("csrfmiddlewaretoken");
  return fields;
}

/**
 * @param {string} url
 * @param {URLSearchParams} fields
 * @param {{ signal: AbortSignal, posted: boolean }} options a text is posted, because it may be longer than an address
 */
async function previewOf(url, fields, { signal, posted }) {
  const answer = posted
    ? await send(url, { body: fields, by: "fragment", signal })
    : await send(`${url}?${fields}`, { method: "GET", by: "fragment", signal });
  return answer.text;
}

/* A sign-in form inside a fragment is useless, so the whole page goes there and back. */
function signIn() {
  location.assign(`/accounts/login/?next=${encodeURIComponent(location.pathname + location.search)}`);
}
