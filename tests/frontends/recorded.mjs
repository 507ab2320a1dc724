// Let each real client, and each example of docs/examples, read recorded streams. Arguments: a file with
// [{"ag-ui": the bytes as text, "ai 5": …, "native": …}, …], and the folder of the examples.
// Prints what each made of each stream, as JSON.

import { readFile } from "node:fs/promises";
import { HttpAgent } from "@ag-ui/client";
import * as ai5 from "ai5";
import * as ai6 from "ai";
import * as ai7 from "ai7";

const recorded = JSON.parse(await readFile(process.argv[2], "utf8"));

let complaints = [];
for (const level of ["warn", "error"]) console[level] = (...words) => complaints.push(words.map(String).join(" "));

// In pieces that keep to no boundary, neither of events nor of characters.
function replied(text) {
  const bytes = new TextEncoder().encode(text);
  const body = new ReadableStream({
    start(controller) {
      for (let at = 0; at < bytes.length; at += 101) controller.enqueue(bytes.slice(at, at + 101));
      controller.close();
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}

async function readAgUi(text) {
  globalThis.fetch = async () => replied(text);
  const agent = new HttpAgent({ url: "http://recorded/", threadId: "thread 1" });
  agent.addMessage({ id: "question", role: "user", content: "How are sales?" });
  const told = { texts: {}, calls: {}, shown: [], asked: [] };
  await agent.runAgent({}, { onRunErrorEvent: ({ event }) => void (told.error = event.message) });
  for (const message of agent.messages) {
    if (message.role === "assistant" || message.role === "reasoning") {
      if (message.content !== undefined) told.texts[message.id] = message.content;
      for (const call of message.toolCalls ?? []) {
        told.calls[call.id] = { ...told.calls[call.id], name: call.function.name, args: call.function.arguments };
      }
    } else if (message.role === "tool") {
      told.calls[message.toolCallId] = { ...told.calls[message.toolCallId], result: JSON.parse(message.content) };
    } else if (message.role === "activity") {
      told.shown.push([message.id, message.content]);
    }
  }
  told.asked = agent.pendingInterrupts.map((one) => [one.id, one.message, one.metadata.options]);
  return told;
}

async function readAiSdk({ DefaultChatTransport, readUIMessageStream }, text) {
  const transport = new DefaultChatTransport({ api: "http://recorded/", fetch: async () => replied(text) });
  const asked = { id: "question", role: "user", parts: [{ type: "text", text: "How are sales?" }] };
  const stream = await transport.sendMessages({ trigger: "submit-message", chatId: "thread 1", messages: [asked] });
  const told = { texts: [], calls: {}, shown: [], asked: [] };
  let last = { parts: [] };
  for await (const message of readUIMessageStream({ stream, onError: (error) => (told.error = error.message) })) {
    last = message;
  }
  for (const part of last.parts) {
    const { type, data } = part;
    if (type === "text" || type === "reasoning") told.texts.push(part.text);
    if (type === "dynamic-tool") {
      const { toolName: name, input: args, output, errorText } = part;
      told.calls[part.toolCallId] = { name, args, result: output ?? errorText };
    }
    if (type === "data-segment-copilot-component" || type === "data-segment-copilot-draft") told.shown.push([part.id, data]);
    if (type === "data-segment-copilot-clarification") told.asked.push([part.id, data.question, data.options]);
  }
  return told;
}

async function readByExample(name, text) {
  globalThis.fetch = async () => replied(text);
  const { ask, conversation } = await import(`${process.argv[3]}/${name}.mjs`);
  const told = { blocks: [], asked: [] };
  const screen = {
    text() {},
    step() {},
    forget() {},
    block: (id, drawn) => told.blocks.push(drawn.lines[0]),
    async choose({ question, options }) {
      told.asked.push([question, options]);
      throw new Error("asked"); // a recorded stream has no answer
    },
  };
  const service = { url: "http://recorded", token: () => "" };
  try {
    told.said = await ask(service, conversation(), "How are sales?", screen);
  } catch (error) {
    if (error.message !== "asked") told.error = error.message;
  }
  return told;
}

const readers = {
  "ag-ui": readAgUi,
  "ai 5": (text) => readAiSdk(ai5, text),
  "ai 6": (text) => readAiSdk(ai6, text),
  "ai 7": (text) => readAiSdk(ai7, text),
};
const examples = { native: "native", "ag-ui": "ag-ui", "ai-sdk": "ai 7" };
const told = [];
for (const streams of recorded) {
  const one = {};
  for (const [client, read] of Object.entries(readers)) {
    complaints = [];
    one[client] = await read(streams[client]).catch((error) => ({ thrown: String(error) }));
    one[client].complaints = complaints;
  }
  for (const [name, protocol] of Object.entries(examples)) {
    one[`example ${name}`] = await readByExample(name, streams[protocol]);
  }
  told.push(one);
}
process.stdout.write(JSON.stringify(told));
