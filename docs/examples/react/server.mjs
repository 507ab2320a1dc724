// The page's own backend: it serves the page and alone holds the key. SERVICE_URL and API_KEY in the environment; PORT, or a free one.
// GET /token gives the page a token of fifteen minutes; POST /save sends a draft that the person has reviewed.
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";

const { SERVICE_URL, API_KEY, PORT = 0 } = process.env;
const headers = { Authorization: `ApiKey ${API_KEY}`, "Content-Type": "application/json" };
const files = { "/main.js": "text/javascript", "/main.css": "text/css" };
const savings = [["POST", /^\/api\/segments\/$/], ["PATCH", /^\/api\/segments\/\d+\/$/]]; // what a draft's button may ask for

async function answer(request) {
  // Here you know who is signed in, and refuse everybody else.
  if (request.url === "/token") {
    const body = JSON.stringify({ scope: "copilot", user_id: "ana@example.com" });
    return fetch(`${SERVICE_URL}/api/auth/session/`, { method: "POST", headers, body });
  }
  if (request.url === "/save" && request.method === "POST") {
    const { method, path, body } = JSON.parse(Buffer.concat(await request.toArray()));
    if (!savings.some(([verb, pattern]) => verb === method && pattern.test(path))) return new Response("", { status: 403 });
    return fetch(`${SERVICE_URL}${path}`, { method, headers, body: JSON.stringify(body) });
  }
  if (request.url in files) {
    const file = await readFile(new URL(`dist${request.url}`, import.meta.url));
    return new Response(file, { headers: { "content-type": files[request.url] } });
  }
  if (request.url !== "/") return new Response("", { status: 404 });
  const page = await readFile(new URL("index.html", import.meta.url), "utf8");
  return new Response(page.replace("SERVICE_URL", SERVICE_URL), { headers: { "content-type": "text/html; charset=utf-8" } });
}

const server = createServer(async (request, response) => {
  const answered = await answer(request).catch(() => new Response("", { status: 502 }));
  response.writeHead(answered.status, { "content-type": answered.headers.get("content-type") ?? "text/plain" });
  response.end(Buffer.from(await answered.arrayBuffer()));
});
server.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
