/* Requests to the server: one way to send them, and errors as sentences. */

import { clockOffset } from "./logic/leases.js";

const SECONDS = 20;
const RETRIES = [1_000, 3_000, 8_000];
const NO_ANSWER = "The server did not answer.";
const SIGNED_OUT = "You were signed out. Sign in again in another tab, then type on here; your text is kept.";

/** Why a request did not succeed: the server's error, or status 0 when no answer came. */
export class Refusal extends Error {
  /**
   * @param {string} message
   * @param {{ status?: number, code?: string, field?: string }} [details]
   */
  constructor(message, { status = 0, code = "", field = "" } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }

  /** Whether the same request may succeed later: no answer came, or the server had trouble of its own. */
  get passing() {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }

  get signedOut() {
    return this.status === 401;
  }
}

/**
 * A caught error as a Refusal. Any other error is a fault of the script and is raised again.
 * @param {unknown} error
 * @returns {Refusal}
 */
export function refusalOf(error) {
  if (error instanceof Refusal) return error;
  throw error;
}

/* The cookie's token is the newest, because signing in again in another tab makes a new one. */
function token() {
  const field = document.querySelector("[name=csrfmiddlewaretoken]");
  return (
    /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? (field instanceof HTMLInputElement ? field.value : "")
  );
}

/**
 * @param {Response} response
 * @returns {Promise<Refusal>}
 */
async function refusalFrom(response) {
  const { status } = response;
  const text = await response.text();
  try {
    const { message, code, field } = JSON.parse(text).error;
    return new Refusal(code === "not_authenticated" ? SIGNED_OUT : message, { status, code, field });
  } catch {
    const page = new DOMParser().parseFromString(text, "text/html");
    const said = page.querySelector("[data-error-message]")?.textContent?.trim();
    return new Refusal(said || `The server answered ${status}.`, { status });
  }
}

let offset = 0;

/** Now by the server's clock, in milliseconds, whatever this computer's clock says. */
export function serverNow() {
  return Date.now() + offset;
}

/**
 * @typedef {object} Request
 * @property {"GET" | "POST"} [method]
 * @property {URLSearchParams | string} [body] a string is JSON
 * @property {"workbench" | "fragment"} [by] what the server is told in X-Requested-With
 * @property {boolean} [keepalive] whether the request outlives the page
 * @property {AbortSignal} [signal]
 */
/** @typedef {{ status: number, headers: Headers, text: string }} Answer */

/**
 * The server's answer, read whole. Raises a Refusal for an error, for no answer and for a session that has ended; the
 * reason of `signal` when that ends the request.
 * @param {string} url
 * @param {Request} [request]
 * @returns {Promise<Answer>}
 */
export async function send(url, { method = "POST", body, by = "workbench", keepalive = false, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "X-Requested-With": by };
  if (method === "POST") headers["X-CSRFToken"] = token();
  if (typeof body === "string") headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(SECONDS * 1000);
  try {
    const response = await fetch(url, {
      method,
      headers,
      body,
      keepalive,
      credentials: "same-origin",
      redirect: "manual",
      // A part of a page must not be kept under the address of the whole page.
      cache: "no-store",
      signal: keepalive ? undefined : signal ? AbortSignal.any([signal, limit]) : limit,
    });
    offset = clockOffset(response.headers.get("Date"), Date.now());
    // The only redirect is the one to the sign-in page: the session has ended.
    if (response.type === "opaqueredirect") throw new Refusal(SIGNED_OUT, { status: 401 });
    if (!response.ok) throw await refusalFrom(response);
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof Refusal ? error : new Refusal(NO_ANSWER);
  }
}

/**
 * The JSON answer of the API to a JSON body.
 * @template T
 * @param {string} url
 * @param {unknown} body
 * @param {{ keepalive?: boolean }} [options]
 * @returns {Promise<T>}
 */
export async function post(url, body, { keepalive = false } = {}) {
  const answer = await send(url, { body: JSON.stringify(body), keepalive });
  try {
    return JSON.parse(answer.text);
  } catch {
    // Something between this page and the server has answered instead of it.
    throw new Refusal("The answer is not the server's; reload the page.", { status: answer.status });
  }
}

/**
 * Send a request until it is answered; gives up after a few tries or at a refusal, and raises it then.
 * @template T
 * @param {() => Promise<T>} request which the server must take as one when it comes twice
 * @param {(refusal: Refusal) => void} [again] called before each further try
 * @returns {Promise<T>}
 */
export async function retrying(request, again) {
  for (const delay of RETRIES) {
    try {
      return await request();
    } catch (error) {
      const refusal = refusalOf(error);
      if (!refusal.passing) throw refusal;
      again?.(refusal);
      await new Promise((done) => setTimeout(done, delay));
    }
  }
  return request();
}
