// The service's public API: one credential, kept for as long as this tab is open.

const KEPT = "segment-copilot-credential";
let session = null;

export const credential = () => sessionStorage.getItem(KEPT) ?? "";

export function keep(text) {
  session = null;
  if (text) sessionStorage.setItem(KEPT, text.trim());
  else sessionStorage.removeItem(KEPT);
}

const header = (text) => (/^(sk|pk|mk)_/.test(text) ? `ApiKey ${text}` : `Bearer ${text}`);

/** A problem that the service answered: its sentence, its code, and what it found where. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `The service answered ${status}.`);
    this.status = status;
    this.code = body.code;
    this.findings = body.errors ?? [];
  }
}

/** Ask one route; the answer's JSON, or null where there is none. */
export async function call(method, path, body) {
  const headers = { Authorization: header(credential()) };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method === "POST") headers["Idempotency-Key"] = crypto.randomUUID();
  const answer = await send(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  return answer.status === 204 ? null : answer.json();
}

export const get = (path, query = {}) => {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return call("GET", path + (given.length ? `?${new URLSearchParams(given)}` : ""));
};
export const post = (path, body = undefined) => call("POST", path, body);

/** The events of one answer of the copilot, as they come. It is asked with a token that may only ask, where the key can make one. */
export async function* ask(body, signal) {
  const headers = { Authorization: header(await token()), "Content-Type": "application/json" };
  const answer = await send("/api/copilot/stream/", { method: "POST", headers, body: JSON.stringify(body), signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const blocks = (rest + read.value).split("\n\n");
      rest = blocks.pop();
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (data) yield JSON.parse(data.slice("data: ".length));
      }
    }
  } finally {
    await reader.cancel();
  }
}

async function token() {
  if (!/^sk_/.test(credential())) return credential();
  if (session && Date.parse(session.expires_at) - Date.now() > 60_000) return session.token;
  try {
    session = await post("/api/auth/session/", { scope: "copilot" });
  } catch (error) {
    if (error.status !== 403) throw error;
    return credential(); // a key that makes no tokens may ask by itself
  }
  return session.token;
}

async function send(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("The service does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => ({}));
  throw new Problem(answer.status, body);
}
