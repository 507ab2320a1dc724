// The site of the docs in a headless Chromium: searched, and what stands on its pages (not around them, which is the theme's) checked for a screen reader; prints what was found.
// Arguments: the browser, the service's address, pages.

import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [, , executablePath, service, ...pages] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the page is ours
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
page.setDefaultTimeout(20_000);
const complaints = [];
page.on("console", (said) => ["warning", "error"].includes(said.type()) && complaints.push(said.text()));
page.on("pageerror", (error) => complaints.push(String(error)));

await page.goto(`${service}/docs/`);
await page.getByPlaceholder("Search").click();
await page.keyboard.type("recency");
const found = page.getByText(/matching documents?$/);
await found.waitFor();
const searched = await found.innerText();
const told = [...complaints]; // before the policy is set aside for the checker

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const context = await browser.newContext({ bypassCSP: true });
const violations = [];
for (const name of pages) {
  const checked = await context.newPage();
  await checked.goto(`${service}/docs/${name}`);
  await checked.evaluate(axe);
  const options = { rules: { "landmark-unique": { enabled: false } } }; // the theme puts each copy button into a landmark
  const result = await checked.evaluate((given) => window.axe.run("article", given), options);
  violations.push(...result.violations.map(({ id, nodes }) => `${name}: ${id}: ${nodes[0].html}`));
  await checked.close();
}
await browser.close();
process.stdout.write(JSON.stringify({ searched, complaints: told, violations }));
