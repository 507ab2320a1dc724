// A question in a terminal: node ask.mjs native|ag-ui|ai-sdk URL KEY "How many users are in High LTV?"
// Ctrl-C leaves, which ends the run on the server too.
import { createInterface } from "node:readline/promises";
import { consoleScreen } from "./draw.mjs";

const [protocol, url, key, question] = process.argv.slice(2);
const { ask, conversation } = await import(`./${protocol}.mjs`);
const leaving = new AbortController();
process.once("SIGINT", () => leaving.abort());

async function choose({ options }) {
  options.forEach((option, index) => console.log(`  ${index + 1}. ${option.label}`));
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  const said = await terminal.question("> ");
  terminal.close();
  return options[said - 1]?.value ?? said;
}

try {
  const service = { url, token: () => key }; // here a key will do: no page holds it
  await ask(service, conversation(), question, consoleScreen(choose), leaving.signal);
  console.log();
} catch (error) {
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}
