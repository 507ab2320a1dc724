// What a page's own backend does: it alone holds the key. SERVICE_URL and API_KEY in the environment; PORT, or a free one.
// GET /token gives the page a token of fifteen minutes; POST /save sends a draft that the person wants to keep.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { SERVICE_URL, API_KEY, PORT = 0 } = process.env;
const headers = { Authorization: `ApiKey ${API_KEY}`, "Content-Type": "application/json" };
const pages = { "/": "page.html", "/native.mjs": "native.mjs", "/draw.mjs": "draw.mjs", "/sse.mjs": "sse.mjs" };

async function answer(request) {
  // Here you know who is signed in, and refuse everybody else.
  if (request.url === "/token") {
    const body = JSON.stringify({ scope: "copilot", user_id: "ana@example.com" });
    return fetch(`${SERVICE_URL}/api/auth/session/`, { method: "POST", headers, body });
  }
  if (request.url === "/save" && request.method === "POST") {
    let body = "";
    for await (const chunk of request) body += chunk;
    return fetch(`${SERVICE_URL}/api/segments/`, { method: "POST", headers, body });
  }
  const name = pages[request.url];
  if (!name) return new Response("", { status: 404 });
  const type = name.endsWith(".html") ? "text/html; charset=utf-8" : "text/javascript";
  const file = await readFile(new URL(name, import.meta.url), "utf8");
  const html = file.replace("SERVICE_URL", SERVICE_URL);
  return new Response(html, { headers: { "content-type": type } });
}

const server = createServer(async (request, response) => {
  const answered = await answer(request).catch(() => new Response("", { status: 502 }));
  response.writeHead(answered.status, { "content-type": answered.headers.get("content-type") ?? "text/plain" });
  response.end(Buffer.from(await answered.arrayBuffer()));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
