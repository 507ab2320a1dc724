// The React example in a headless Chromium, used like a person would; prints what the person then sees, as JSON.
// Arguments: the browser, the page's address, the axe-core package's script, a folder for screenshots or "".

import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const [, , executablePath, address, axe, folder] = process.argv;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }); // root has no sandbox; the page is ours
const told = { complaints: [] };
try {
  const page = await browser.newPage({ viewport: { width: 390, height: 900 } });
  page.setDefaultTimeout(20_000);
  page.on("console", (said) => ["warning", "error"].includes(said.type()) && told.complaints.push(said.text()));
  page.on("pageerror", (error) => told.complaints.push(String(error)));
  const look = async (name) => folder && page.screenshot({ path: `${folder}/react-${name}.png`, fullPage: true });
  const ask = async (question) => {
    await page.getByLabel("Question").fill(question);
    await page.getByRole("button", { name: "Ask", exact: true }).click();
  };
  await page.goto(address);

  await ask("How are sales?");
  await page.getByText("Done.").waitFor();
  told.steps = await page.locator(".step").allInnerTexts();
  told.card = await page.locator("figure", { hasText: "Users" }).first().innerText();
  told.rows = await page.locator("tbody tr").allInnerTexts();
  told.bars = await page.locator("svg rect").count();
  told.draft = await page.locator("article").innerText();
  told.wide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  await look("answer");
  await page.addScriptTag({ content: await readFile(axe, "utf8") });
  told.violations = await page.evaluate(async () => (await window.axe.run()).violations.map(({ id, nodes }) => `${id}: ${nodes[0].html.slice(0, 120)}`));

  await page.getByLabel("Name").fill("");
  await page.getByRole("button", { name: "Save segment" }).click();
  told.unnamed = await page.getByRole("status").count(); // the form asks for a name, and sends nothing
  await page.getByLabel("Name").fill("x".repeat(70));
  await page.getByLabel("Name").fill("Known, renamed");
  await page.getByRole("button", { name: "Save segment" }).click();
  told.saved = await page.getByRole("status").innerText();
  await look("saved");

  await ask("Who visited?");
  await page.getByRole("button", { name: "The pricing page" }).click();
  await page.getByText("Those of /pricing.").waitFor();
  told.asking = await page.locator(".step", { hasText: "Asking" }).count(); // the question is seen

  await ask("Something long");
  await page.getByText("Half").waitFor();
  await page.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("button", { name: "Ask", exact: true }).waitFor();

  await ask("And broken?");
  told.failed = await page.getByRole("alert").innerText();
} finally {
  await browser.close();
}
console.log(JSON.stringify(told));
