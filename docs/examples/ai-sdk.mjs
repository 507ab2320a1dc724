// A consumer of the Vercel AI SDK's UI message stream without any package, for browsers and Node 20.
import { component, draft } from "./draw.mjs";
import { events } from "./sse.mjs";

export const conversation = () => ({ id: crypto.randomUUID(), messages: [] });

/** Ask, draw the answer, and ask back until nothing is open; throws on errors, and when `signal` aborts. */
export async function ask(service, talk, content, screen, signal) {
  for (;;) {
    const asked = { id: crypto.randomUUID(), role: "user", parts: [{ type: "text", text: content }] };
    const messages = [...talk.messages, asked];
    const { answer, question } = await follow(service, { ...talk, messages }, screen, signal);
    const older = messages.map((message) => ({ ...message, parts: message.parts.filter(({ type }) => type === "text") }));
    talk.messages = [...older, answer]; // only what ended well is kept; of the checkpoints, the last one counts
    if (!question) return answer.parts.map((part) => part.text ?? "").filter(Boolean).join("\n\n");
    content = await screen.choose(question); // here an answer is simply the next message
  }
}

async function follow({ url, token }, talk, screen, signal) {
  const headers = { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify({ ...talk, trigger: "submit-message" }), signal };
  const response = await fetch(`${url}/api/copilot/ai-sdk/?sdk=7`, options);
  if (!response.ok) throw new Error((await response.json()).detail); // a problem: nothing has begun
  const answer = { id: "", role: "assistant", parts: [] };
  let begun = 0; // how many parts there were before this turn
  let checkpoint = [];
  let question, end;
  const on = {
    "start": (part) => (answer.id = part.messageId),
    "start-step": () => (begun = answer.parts.length),
    "reset-step": () => screen.forget(answer.parts.splice(begun).map(({ id }) => id)), // the turn is asked again
    "text-start": ({ id }) => answer.parts.push({ type: "text", id, text: "" }),
    "text-delta"({ id, delta }) {
      answer.parts.find((part) => part.id === id).text += delta;
      screen.text(id, delta);
    },
    "tool-input-start": (part) => screen.step(part.toolCallId, `${part.title}…`),
    "tool-output-available": (part) => screen.step(part.toolCallId, part.output.summary),
    "tool-output-error": (part) => screen.step(part.toolCallId, part.errorText),
    "data-segment-copilot-component": ({ id, data }) => screen.block(id, component(data.name, data.props)),
    "data-segment-copilot-draft": ({ id, data }) => screen.block(id, draft(data)),
    "data-segment-copilot-warning": ({ data }) => screen.step(data.code, data.message),
    "data-segment-copilot-clarification": ({ data }) => (question = data),
    "data-segment-copilot-checkpoint": (part) => (checkpoint = [part]), // what was looked up: it goes back
    "finish": (part) => (end = part),
    "error"({ errorText }) {
      throw new Error(errorText);
    },
  };
  for await (const part of events(response.body)) on[part.type]?.(part);
  if (!end) throw new Error("The stream was cut; ask again.");
  answer.parts.push(...checkpoint);
  return { answer, question };
}
