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
  let question, checkpoint, end;
  const on = {
    "text.delta"({ id, delta }) {
      texts.set(id, (texts.get(id) ?? "") + delta);
      screen.text(id, delta);
    },
    "turn.reset"({ discard }) { // the turn is asked again: what it said does not count
      discard.forEach((id) => texts.delete(id));
      screen.forget(discard);
    },
    "tool.start": (event) => screen.step(event.tool_call_id, `${event.title}…`),
    "tool.result": (event) => screen.step(event.tool_call_id, event.ok ? event.summary : event.error.message),
    "component": (event) => screen.block(event.id, component(event.name, event.props)),
    "segment.draft": (event) => screen.block(event.draft_id, draft(event)),
    "warning": (event) => screen.step(event.code, event.message),
    "clarification": (event) => (question = event),
    "checkpoint": (event) => (checkpoint = event.token), // what was looked up: it goes back with the next question
    "run.finished": (event) => (end = event),
    "run.error"({ code, message, retryable }) {
      throw Object.assign(new Error(message), { code, retryable });
    },
  };
  for await (const event of events(response.body)) on[event.type]?.(event);
  if (!end) throw new Error("The stream was cut; ask again.");
  return { said: [...texts.values()].join("\n\n"), question, checkpoint };
}
