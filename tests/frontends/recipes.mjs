// The recipes that docs/copilot.md prints for the two SDKs, run as they stand there.
// Arguments: the folder of the examples, the service's address, and as JSON {agent, activities, transport, component:
// the expression that the React recipe returns, tokens: one for each request}. Prints what they made, as JSON.

import { HttpAgent } from "@ag-ui/client";
import * as ai5 from "ai5";
import * as ai6 from "ai";
import * as ai7 from "ai7";

const [, , folder, url, planText] = process.argv;
const plan = JSON.parse(planText);
const { component } = await import(`${folder}/draw.mjs`);

const Code = Object.getPrototypeOf(async () => {}).constructor;
const run = (code, given) =>
  new Code(...Object.keys(given), code.replaceAll("https://copilot.example.com", url))(...Object.values(given));

const asked = [];
const token = async () => {
  asked.push(plan.tokens[asked.length]);
  return asked.at(-1);
};

async function agUi() {
  const agent = await run(`${plan.agent}\nreturn agent;`, { HttpAgent, token, fetch });
  agent.addMessage({ id: crypto.randomUUID(), role: "user", content: "And a question?" });
  await agent.runAgent();
  const told = { drafts: [], components: [], questions: [] };
  await run(plan.activities, {
    agent,
    showDraft: (draft) => told.drafts.push(draft.name),
    showComponent: (name, props) => told.components.push(component(name, props)),
    askPerson: async (message, options) => {
      told.questions.push([message, options.map(({ value }) => value)]);
      return options[0].value;
    },
  });
  return { ...told, texts: agent.messages.filter(({ role }) => role === "assistant").map(({ content }) => content) };
}

// Of JSX only an element without children is needed here: its attributes, in their order, become an object.
function called(jsx) {
  const [, name, written] = jsx.match(/^<(\w+)((?:\s+(?:\w+=\{[^{}]*\}|\{\.\.\.[^{}]*\}))+)\s*\/>$/);
  const attributes = [...written.matchAll(/(?:(\w+)=)?\{([^{}]*)\}/g)];
  return `return ${name}({ ${attributes.map(([, key, value]) => (key ? `${key}: ${value}` : value)).join(", ")} });`;
}

// A component as a page has it: it is told its name and its props, whichever way the recipe hands them over.
const Component = ({ name, props, ...spread }) => component(name, props ?? spread);

async function aiSdk({ DefaultChatTransport, readUIMessageStream }) {
  const transport = await run(`${plan.transport}\nreturn transport;`, { DefaultChatTransport, token });
  const messages = [{ id: "question", role: "user", parts: [{ type: "text", text: "How are sales?" }] }];
  const stream = await transport.sendMessages({ trigger: "submit-message", chatId: "thread 1", messages });
  let last = { parts: [] };
  for await (const message of readUIMessageStream({ stream })) last = message;
  const shown = last.parts.filter(({ type }) => type === "data-segment-copilot-component");
  return { components: await Promise.all(shown.map((part) => run(called(plan.component), { Component, part }))) };
}

const told = { "ag-ui": await agUi() };
for (const [name, sdk] of Object.entries({ "ai 5": ai5, "ai 6": ai6, "ai 7": ai7 })) told[name] = await aiSdk(sdk);
process.stdout.write(JSON.stringify({ told, asked }));
