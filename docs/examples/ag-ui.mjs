// A consumer of AG-UI 1.0 without any package, for browsers and Node 20.
import { component, draft } from "./draw.mjs";
import { events } from "./sse.mjs";

export const conversation = () => ({ threadId: crypto.randomUUID(), messages: [], state: {} });

/** Ask, draw the answer, and ask back until nothing is open; throws on errors, and when `signal` aborts. */
export async function ask(service, talk, content, screen, signal) {
  let messages = [...talk.messages, { id: crypto.randomUUID(), role: "user", content }];
  let resume = [];
  for (;;) {
    const run = await follow(service, { ...talk, messages, resume }, screen, signal);
    for (const { payload } of resume) messages = [...messages, { id: crypto.randomUUID(), role: "user", content: payload.answer }];
    messages = [...messages, ...run.said];
    Object.assign(talk, { messages, state: run.state }); // only what ended well is kept
    if (!run.interrupt) return run.said.map((message) => message.content).join("\n\n");
    const { id, message, metadata } = run.interrupt;
    const answer = await screen.choose({ question: message, options: metadata.options });
    resume = [{ interruptId: id, status: "resolved", payload: { answer } }];
  }
}

async function follow({ url, token }, sent, screen, signal) {
  const headers = { Authorization: `Bearer ${await token()}`, "Content-Type": "application/json" };
  const input = { ...sent, runId: crypto.randomUUID(), tools: [], context: [], forwardedProps: {} };
  const options = { method: "POST", headers, body: JSON.stringify(input), signal };
  const response = await fetch(`${url}/api/copilot/ag-ui/`, options);
  if (!response.ok) throw new Error((await response.json()).detail); // a problem: nothing has begun
  const texts = new Map();
  let { state } = sent;
  let end;
  const on = {
    TEXT_MESSAGE_CONTENT({ messageId, delta }) {
      texts.set(messageId, (texts.get(messageId) ?? "") + delta);
      screen.text(messageId, delta);
    },
    TOOL_CALL_START: (event) => screen.step(event.toolCallId, `${event.metadata.title}…`),
    TOOL_CALL_RESULT(event) {
      const { ok, summary, error } = JSON.parse(event.content);
      screen.step(event.toolCallId, ok ? summary : error.message);
    },
    ACTIVITY_SNAPSHOT({ messageId, activityType, content }) {
      const isDraft = activityType === "segment_copilot.segment_draft";
      screen.block(messageId, isDraft ? draft(content) : component(content.name, content.props));
    },
    CUSTOM({ name, value }) {
      if (name === "segment_copilot.warning") screen.step(value.code, value.message);
      if (name !== "segment_copilot.turn_reset") return;
      value.discard.forEach((id) => texts.delete(id)); // the turn is asked again: what it said does not count
      screen.forget(value.discard);
    },
    STATE_DELTA({ delta }) { // the checkpoint, what was looked up: it goes back with the next question
      for (const { path, value } of delta) state = { ...state, [path.slice(1)]: value };
    },
    RUN_FINISHED: (event) => (end = event),
    RUN_ERROR({ code, message, metadata }) {
      throw Object.assign(new Error(message), { code, retryable: metadata.retryable });
    },
  };
  for await (const event of events(response.body)) on[event.type]?.(event);
  if (!end) throw new Error("The stream was cut; ask again.");
  const said = [...texts].map(([id, content]) => ({ id, role: "assistant", content }));
  return { said, state, interrupt: end.outcome.interrupts?.[0] };
}
