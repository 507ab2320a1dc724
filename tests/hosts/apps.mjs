// Opens the views of tools in a host of MCP Apps in a headless Chromium; prints what a person sees there, as JSON.
// Arguments: the browser, the service, a key, calls ([[tool, arguments], …]), a folder for screenshots or "".

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const [, , executablePath, service, key, calls, folder] = process.argv;
const POLICY = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'none'"; // of the specification, for a view that asks for nothing

const listen = (answer) => new Promise((resolve) => {
  const server = createServer(answer).listen(0, "127.0.0.1", () => resolve(server));
});
const address = (server) => `http://127.0.0.1:${server.address().port}`;

const page_ = await readFile("sandbox.html");
const sandbox = await listen((_, answer) => answer.writeHead(200, { "content-type": "text/html", "content-security-policy": POLICY }).end(page_));
const bundle = await build({ entryPoints: ["host.mjs"], bundle: true, format: "iife", write: false, logLevel: "error" });
const script = bundle.outputFiles[0].contents;
const host = await listen(async (request, answer) => {
  if (request.url === "/host.js") return answer.writeHead(200, { "content-type": "text/javascript" }).end(script);
  if (request.url !== "/mcp") return answer.writeHead(200, { "content-type": "text/html" }).end(`<!doctype html><html lang="en"><title>host</title><link rel="icon" href="data:,"><body><script>window.SANDBOX = ${JSON.stringify(address(sandbox))}</script><script src="/host.js"></script>`);
  const { host: _, connection, "content-length": length, ...headers } = request.headers; // as a host's backend passes it on
  const body = Buffer.concat(await request.toArray());
  const passed = await fetch(`${service}/mcp`, { method: request.method, headers: { ...headers, authorization: `Bearer ${key}` }, body: body.length ? body : undefined });
  answer.writeHead(passed.status, { "content-type": passed.headers.get("content-type") ?? "text/plain" }).end(Buffer.from(await passed.arrayBuffer()));
});

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the pages are ours
const told = { views: [], complaints: [] };
try {
  const page = await browser.newPage({ viewport: { width: 720, height: 900 } });
  page.setDefaultTimeout(20_000);
  page.on("console", (said) => ["warning", "error"].includes(said.type()) && told.complaints.push(said.text()));
  page.on("pageerror", (error) => told.complaints.push(String(error)));
  await page.goto(address(host));
  for (const [name, given] of JSON.parse(calls)) {
    for (const [theme, width] of folder ? [["light", 720], ["dark", 360]] : [["light", 360]]) {
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate(([name, given, theme]) => window.open_(name, given, theme), [name, given, theme]);
      const view = page.frames().at(-1);
      await view.locator("main > *").first().waitFor();
      if (folder) await page.screenshot({ path: `${folder}/${name}-${theme}.png`, fullPage: true });
      if (theme === "light") told.views.push({ name, text: await view.locator("main").innerText(), bars: await view.locator("rect").count(), wide: await view.evaluate(() => document.documentElement.scrollWidth > innerWidth) });
    }
    const save = page.frames().at(-1).getByRole("button", { name: /^Create/ });
    if (await save.count()) {
      await save.first().click();
      told.views.at(-1).saved = await page.frames().at(-1).getByRole("status").innerText();
      told.views.at(-1).context = await page.evaluate(() => window.told);
    }
  }
} finally {
  await browser.close();
  for (const server of [host, sandbox]) server.close();
}
console.log(JSON.stringify(told));
