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
  for await (const event of events(response.body)) {
    switch (event.type) {
      case "TEXT_MESSAGE_CONTENT":
        texts.set(event.messageId, (texts.get(event.messageId) ?? "") + event.delta);
        screen.text(event.messageId, event.delta);
        break;
      case "TOOL_CALL_START":
        screen.step(event.toolCallId, `${event.metadata.title}…`);
        break;
      case "TOOL_CALL_RESULT": {
        const { ok, summary, error } = JSON.parse(event.content);
        screen.step(event.toolCallId, ok ? summary : error.message);
        break;
      }
      case "ACTIVITY_SNAPSHOT": {
        const { activityType, content } = event;
        const drawn = activityType.endsWith(".segment_draft") ? draft(content) : component(content.name, content.props);
        screen.block(event.messageId, drawn);
        break;
      }
      case "CUSTOM":
        if (event.name === "segment_copilot.warning") screen.step(event.value.code, event.value.message);
        if (event.name === "segment_copilot.turn_reset") { // the turn is asked again: what it said does not count
          event.value.discard.forEach((id) => texts.delete(id));
          screen.forget(event.value.discard);
        }
        break;
      case "STATE_DELTA": // the checkpoint, what was looked up: it goes back with the next question
        for (const { path, value } of event.delta) state = { ...state, [path.slice(1)]: value };
        break;
      case "RUN_ERROR":
        throw Object.assign(new Error(event.message), { code: event.code, retryable: event.metadata.retryable });
      case "RUN_FINISHED": {
        const said = [...texts].map(([id, content]) => ({ id, role: "assistant", content }));
        return { said, state, interrupt: event.outcome.type === "interrupt" ? event.outcome.interrupts[0] : undefined };
      }
    }
  }
  throw new Error("The stream was cut; ask again.");
}
