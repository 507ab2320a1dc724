// A page in a headless Chromium, used like a person would; prints what the person then sees, as JSON.
// Arguments: the browser, the page's address, the service's address.

import { chromium } from "playwright-core";

const [, , executablePath, page_, service] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the page is ours
const page = await browser.newPage();
page.setDefaultTimeout(20_000);
const complaints = [];
page.on("console", (said) => ["warning", "error"].includes(said.type()) && complaints.push(said.text()));
page.on("pageerror", (error) => complaints.push(String(error)));

async function ask(question) {
  await page.fill("#question", question);
  await page.click("text=Ask");
}

await page.goto(page_);
const told = { origin: await page.evaluate(() => location.origin) };

await ask("How are sales?");
await page.getByText("Done.", { exact: true }).waitFor();
told.drawn = await page.locator("pre").allInnerTexts();
told.said = await page.locator("section p").allInnerTexts();

await page.click("text=Save");
told.saved = await page.getByText("Saved as segment").innerText();

await ask("Who visited?");
await page.click("text=The pricing page");
await page.getByText("Those of /pricing.").waitFor();

await ask("Something long");
await page.getByText("Half").waitFor();
await page.click("text=Stop");
await page.getByText("Stopped.").waitFor();

told.complaints = [...complaints];
told.write = await page.evaluate(async (url) => {
  const { token } = await (await fetch("/token")).json();
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": "application/json" };
  const answer = await fetch(`${url}/api/segments/`, { method: "POST", headers, body: "{}" });
  return { status: answer.status, code: (await answer.json()).code, request_id: answer.headers.get("x-request-id") };
}, service);
told.page = await page.content();

await browser.close();
process.stdout.write(JSON.stringify(told));
