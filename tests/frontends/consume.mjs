// Ask the copilot as frontends do: with each real client, one after the other. Prints what each made of it, as JSON.
// Arguments: the service's address, a key, and as JSON {options, questions, answers: to what the copilot asks,
// leave: after the first text}.

import { HttpAgent } from "@ag-ui/client";
import * as ai5 from "ai5";
import * as ai6 from "ai";
import * as ai7 from "ai7";

const [, , url, key, planText] = process.argv;
const { options, questions, answers, leave } = JSON.parse(planText);
const headers = { Authorization: `Bearer ${key}` };

let complaints = [];
for (const level of ["warn", "error"]) console[level] = (...words) => complaints.push(words.map(String).join(" "));

async function askAgUi() {
  const agent = new HttpAgent({ url: `${url}/api/copilot/ag-ui/`, threadId: "thread 1", headers });
  const runs = [];
  async function run(input) {
    const run = { types: [], custom: [] };
    const ran = agent.runAgent(
      { ...input, forwardedProps: { options } },
      {
        onEvent: ({ event }) => void run.types.push(event.type),
        onCustomEvent: ({ event }) => void run.custom.push(event.name),
        onTextMessageContentEvent: () => void (leave && agent.abortRun()),
        onRunFinishedEvent: ({ event }) => void (run.result = event.result),
        onRunErrorEvent: ({ event }) => void (run.code = event.code),
      },
    );
    await ran.catch((error) => (run.thrown = error.name));
    run.asked = agent.pendingInterrupts.map(({ id, reason, message, metadata }) => ({ id, reason, message, metadata }));
    runs.push(run);
  }
  for (const content of questions) {
    const left = [...answers];
    agent.addMessage({ id: crypto.randomUUID(), role: "user", content });
    await run({});
    while (agent.pendingInterrupts.length && left.length) {
      const [{ id }] = agent.pendingInterrupts;
      await run({ resume: [{ interruptId: id, status: "resolved", payload: { answer: left.shift() } }] });
    }
  }
  return { runs, messages: agent.messages };
}

async function askAiSdk({ DefaultChatTransport, readUIMessageStream }, major) {
  const api = `${url}/api/copilot/ai-sdk/?sdk=${major}`;
  const transport = new DefaultChatTransport({ api, headers, body: { options } });
  const messages = [];
  const runs = [];
  async function run(text) {
    messages.push({ id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text }] });
    const leaving = new AbortController();
    const run = {};
    let last;
    try {
      const asked = { trigger: "submit-message", chatId: "thread 1", messages, abortSignal: leaving.signal };
      const stream = await transport.sendMessages(asked);
      const onError = (error) => (run.error = error.message);
      for await (const message of readUIMessageStream({ stream, onError })) {
        last = message;
        if (leave && message.parts.some((part) => part.type === "text" && part.text)) leaving.abort();
      }
    } catch (error) {
      run.thrown = error.name;
    }
    if (last) messages.push(structuredClone(last));
    runs.push(run);
    return last?.parts.filter((part) => part.type === "data-segment-copilot-clarification") ?? [];
  }
  for (const question of questions) {
    const left = [...answers];
    let asked = await run(question);
    while (asked.length && left.length) asked = await run(left.shift());
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
