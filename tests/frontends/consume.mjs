// Ask the copilot a question and a second one, as a frontend would: with each real client, one after the other.
// Arguments: the service's address, a key, options as JSON. Prints what each client made of it, as JSON.

import { HttpAgent } from "@ag-ui/client";
import * as ai5 from "ai5";
import * as ai6 from "ai";
import * as ai7 from "ai7";

const [, , url, key, optionsText] = process.argv;
const options = JSON.parse(optionsText);
const headers = { Authorization: `Bearer ${key}` };
const questions = ["How are sales?", "And now?"];

let complaints = [];
for (const level of ["warn", "error"]) console[level] = (...words) => complaints.push(words.map(String).join(" "));

async function askAgUi() {
  const agent = new HttpAgent({ url: `${url}/api/copilot/ag-ui/`, threadId: "thread 1", headers });
  const runs = [];
  for (const content of questions) {
    agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
    const run = { types: [], custom: [] };
    await agent.runAgent(
      { forwardedProps: { options } },
      {
        onEvent: ({ event }) => void run.types.push(event.type),
        onCustomEvent: ({ event }) => void run.custom.push(event.name),
        onRunFinishedEvent: ({ event }) => void (run.result = event.result),
        onRunErrorEvent: ({ event }) => void (run.code = event.code),
      },
    );
    runs.push(run);
  }
  return { runs, messages: agent.messages };
}

async function askAiSdk({ DefaultChatTransport, readUIMessageStream }, major) {
  const api = `${url}/api/copilot/ai-sdk/?sdk=${major}`;
  const transport = new DefaultChatTransport({ api, headers, body: { options } });
  const messages = [];
  const runs = [];
  for (const text of questions) {
    messages.push({ id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text }] });
    const stream = await transport.sendMessages({ trigger: "submit-message", chatId: "thread 1", messages });
    const run = {};
    let last;
    const onError = (error) => (run.error = error.message);
    for await (const message of readUIMessageStream({ stream, onError })) last = message;
    messages.push(structuredClone(last));
    runs.push(run);
  }
  return { runs, messages };
}

async function heard(ask) {
  complaints = [];
  try {
    return { ...(await ask()), complaints };
  } catch (error) {
    return { thrown: String(error), complaints };
  }
}

const told = {
  "ag-ui": await heard(askAgUi),
  "ai 5": await heard(() => askAiSdk(ai5, 5)),
  "ai 6": await heard(() => askAiSdk(ai6, 6)),
  "ai 7": await heard(() => askAiSdk(ai7, 7)),
};
process.stdout.write(JSON.stringify(told));
