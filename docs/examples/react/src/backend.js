// What the page asks its own backend for: tokens that may ask, and saving, which they may not.

let session = { expires_at: 0 };

/** A token with a minute left at least. */
export async function token() {
  if (new Date(session.expires_at) - Date.now() < 60_000) session = await json(await fetch("/token"));
  return session.token;
}

/** Send the request of a draft's button; the segment as it was saved. */
export async function save(request) {
  return json(await fetch("/save", { method: "POST", body: JSON.stringify(request) }));
}

async function json(response) {
  const told = await response.json().catch(() => ({ detail: `The backend answered ${response.status}.` }));
  if (!response.ok) throw new Error(told.errors?.[0]?.detail ?? told.detail);
  return told;
}
