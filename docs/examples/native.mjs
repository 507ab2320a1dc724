// A consumer of segment-copilot/1 without any package, for browsers and Node 20.
import { component, draft } from "./draw.mjs";
import { events } from "./sse.mjs";

/** A conversation: give it to every `ask`, and keep it for as long as the person goes on. */
export const conversation = () => ({ messages: [] });

/** Ask, draw the answer, and ask back until nothing is open; throws on errors, and when `signal` aborts. */
export async function ask(service, talk, content, screen, signal) {
  let messages = [...talk.messages, { role: "user", content }];
  let resume = [];
  for (;;) {
    const { said, question, checkpoint } = await run(service, { ...talk, messages, resume }, screen, signal);
    if (resume.length) messages = [...messages, { role: "user", content: resume[0].payload.answer }];
    messages = [...messages, { role: "assistant", content: said }];
    Object.assign(talk, { messages, checkpoint }); // only what ended well is kept
    if (!question) return said;
    const answer = await screen.choose(question);
    resume = [{ id: question.id, status: "resolved", payload: { answer } }];
  }
}

async function run({ url, token }, body, screen, signal) {
  const headers = { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(body), signal };
  const response = await fetch(`${url}/api/copilot/stream/`, options);
  if (!response.ok) throw new Error((await response.json()).detail); // a problem: nothing has begun
  const texts = new Map();
  let question;
  let checkpoint;
  for await (const event of events(response.body)) {
    switch (event.type) {
      case "text.delta":
        texts.set(event.id, (texts.get(event.id) ?? "") + event.delta);
        screen.text(event.id, event.delta);
        break;
      case "turn.reset": // the turn is asked again: what it said does not count
        event.discard.forEach((id) => texts.delete(id));
        screen.forget(event.discard);
        break;
      case "tool.start":
        screen.step(event.tool_call_id, `${event.title}…`);
        break;
      case "tool.result":
        screen.step(event.tool_call_id, event.ok ? event.summary : event.error.message);
        break;
      case "component":
        screen.block(event.id, component(event.name, event.props));
        break;
      case "segment.draft":
        screen.block(event.draft_id, draft(event));
        break;
      case "warning":
        screen.step(event.code, event.message);
        break;
      case "clarification":
        question = event;
        break;
      case "checkpoint":
        checkpoint = event.token; // what was looked up: it goes back with the next question
        break;
      case "run.error":
        throw Object.assign(new Error(event.message), { code: event.code, retryable: event.retryable });
      case "run.finished":
        return { said: [...texts.values()].join("\n\n"), question, checkpoint };
    }
  }
  throw new Error("The stream was cut; ask again.");
}
