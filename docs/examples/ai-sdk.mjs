// A consumer of the Vercel AI SDK's UI message stream without any package, for browsers and Node 20.
import { component, draft } from "./draw.mjs";
import { events } from "./sse.mjs";

const PREFIX = "data-segment-copilot-";

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
  let steps = []; // where each turn begins in the parts
  let question;
  let checkpoint = [];
  for await (const part of events(response.body)) {
    switch (part.type) {
      case "start":
        answer.id = part.messageId;
        break;
      case "start-step":
        steps = [...steps, answer.parts.length];
        break;
      case "reset-step": { // the turn is asked again: what it said does not count
        const taken = answer.parts.splice(steps.at(-1));
        screen.forget(taken.map((one) => one.id));
        break;
      }
      case "text-start":
        answer.parts.push({ type: "text", id: part.id, text: "" });
        break;
      case "text-delta":
        answer.parts.find((one) => one.id === part.id).text += part.delta;
        screen.text(part.id, part.delta);
        break;
      case "tool-input-start":
        screen.step(part.toolCallId, `${part.title}…`);
        break;
      case "tool-output-available":
        screen.step(part.toolCallId, part.output.summary);
        break;
      case "tool-output-error":
        screen.step(part.toolCallId, part.errorText);
        break;
      case `${PREFIX}component`:
        screen.block(part.id, component(part.data.name, part.data.props));
        break;
      case `${PREFIX}draft`:
        screen.block(part.id, draft(part.data));
        break;
      case `${PREFIX}warning`:
        screen.step(part.data.code, part.data.message);
        break;
      case `${PREFIX}clarification`:
        question = part.data;
        break;
      case `${PREFIX}checkpoint`:
        checkpoint = [part]; // what was looked up: it goes back with the history
        break;
      case "error":
        throw new Error(part.errorText);
      case "finish":
        answer.parts.push(...checkpoint);
        return { answer, question };
    }
  }
  throw new Error("The stream was cut; ask again.");
}
