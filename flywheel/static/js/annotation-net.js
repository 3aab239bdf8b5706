/* Talking to the server: one way to ask, errors as sentences, drafts kept in the browser while the network is away. */

export class Refusal extends Error {
  constructor(message, { status = 0, code = "", field = "" } = {}) {
    super(message);
    Object.assign(this, { status, code, field });
  }
  /* No answer, or the server's own trouble: the same request may be sent again. */
  get passing() {
    return this.status === 0 || this.status >= 500 || this.status === 429;
  }
}

/* The cookie's token is the newest: signing in again in another tab makes a new one. */
function token() {
  return /(?:^|; )csrftoken=([^;]+)/.exec(document.cookie)?.[1]
    ?? document.querySelector("[name=csrfmiddlewaretoken]")?.value ?? "";
}

const SIGNED_OUT = "You were signed out. Sign in again in another tab, then type on here; your text is kept.";

async function refusal(response) {
  const text = await response.text();
  try {
    const { message, code, field } = JSON.parse(text).error;
    return new Refusal(code === "not_authenticated" ? SIGNED_OUT : message, { status: response.status, code, field });
  } catch {
    const page = new DOMParser().parseFromString(text, "text/html");
    const said = page.querySelector("[data-error-message]")?.textContent.trim();
    return new Refusal(said || `The server answered ${response.status}.`, { status: response.status });
  }
}

let ahead = 0; // of the server's clock before this browser's, in milliseconds; a few seconds do not matter

/* Now, as the server has it: leases end by its clock, whatever the one of this computer says. */
export const serverNow = () => Date.now() + ahead;

export async function post(url, body, { form = false, keepalive = false, seconds = 20 } = {}) {
  const headers = { "X-CSRFToken": token(), "X-Requested-With": "workbench" };
  if (!form) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(url, {
      method: "POST", headers, keepalive, credentials: "same-origin", redirect: "manual",
      body: form ? new URLSearchParams(body) : JSON.stringify(body ?? {}),
      signal: keepalive ? undefined : AbortSignal.timeout(seconds * 1000),
    });
  } catch {
    throw new Refusal("The server did not answer.");
  }
  const difference = Date.parse(response.headers.get("Date")) - Date.now();
  ahead = Math.abs(difference) > 5000 ? difference : 0;
  // A redirect is the sign-in page: the session has ended.
  if (response.type === "opaqueredirect") throw new Refusal(SIGNED_OUT, { status: 401 });
  if (!response.ok) throw await refusal(response);
  return response;
}

const PREFIX = "flywheel-draft-";

export const kept = {
  put(id, draft) {
    try {
      localStorage.setItem(PREFIX + id, JSON.stringify({ ...draft, at: Date.now() }));
    } catch {
      // Storage is full or blocked: the server's copy is the only one.
    }
  },
  get(id) {
    try {
      return JSON.parse(localStorage.getItem(PREFIX + id));
    } catch {
      return null;
    }
  },
  drop(id) {
    try {
      localStorage.removeItem(PREFIX + id);
    } catch {
      // As above.
    }
  },
  /* Drafts of a fortnight ago belong to tasks long gone. */
  sweep() {
    try {
      for (const key of Object.keys(localStorage))
        if (key.startsWith(PREFIX) && Date.now() - (JSON.parse(localStorage.getItem(key)).at || 0) > 14 * 86400e3)
          localStorage.removeItem(key);
    } catch {
      // As above.
    }
  },
};
