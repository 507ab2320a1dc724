import { useChat } from "@ai-sdk/react";
import { DefaultChatTransport } from "ai";
import { useMemo, useState } from "react";
import { token } from "./backend.js";
import { Component } from "./components.jsx";
import { Draft } from "./Review.jsx";

/** A conversation with the copilot: useChat follows the stream and sends back what it needs (the checkpoint among it). */
export function Copilot({ service }) {
  const transport = useMemo(
    () =>
      new DefaultChatTransport({
        api: `${service}/api/copilot/ai-sdk/?sdk=7`,
        headers: async () => ({ Authorization: `Bearer ${await token()}` }),
      }),
    [service],
  );
  const { messages, sendMessage, status, stop, error } = useChat({ transport });
  const busy = status === "submitted" || status === "streaming";
  const ask = (text) => sendMessage({ text });

  return (
    <>
      <h1>Audiences</h1>
      <div aria-live="polite">
        {messages.map((message) => (
          <Message key={message.id} message={message} ask={busy ? undefined : ask} />
        ))}
        {error && <p role="alert">{error.message}</p>}
      </div>
      <Question ask={ask} busy={busy} stop={stop} />
    </>
  );
}

function Question({ ask, busy, stop }) {
  const [text, setText] = useState("");
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim()) return;
    ask(text);
    setText("");
  };
  return (
    <form className="row" onSubmit={submit}>
      <input aria-label="Question" placeholder="Users who ordered twice this month" value={text} onChange={(event) => setText(event.target.value)} />
      {busy ? <button type="button" onClick={stop}>Stop</button> : <button>Ask</button>}
    </form>
  );
}

function Message({ message, ask }) {
  // A draft is reviewed and saved in one form: its button's request goes with it.
  const button = message.parts.findLast(({ data }) => data?.name === "CreateSegmentCTA")?.data.props;
  return (
    <section className={message.role}>
      {message.parts.map((part, at) => (
        <Part key={`${part.type} ${part.id ?? part.toolCallId ?? at}`} part={part} button={button} ask={ask} />
      ))}
    </section>
  );
}

function Part({ part, button, ask }) {
  switch (part.type) {
    case "text":
      return <p className="said">{part.text}</p>;
    case "dynamic-tool":
      return <Step part={part} />;
    case "data-segment-copilot-component":
      return <Component name={part.data.name} props={part.data.props} />;
    case "data-segment-copilot-draft":
      return <Draft draft={part.data} button={button?.draft_id === part.data.draft_id ? button : undefined} />;
    case "data-segment-copilot-clarification":
      return <Options options={part.data.options} ask={ask} />;
    case "data-segment-copilot-warning":
      return <small className="step">{part.data.message}</small>;
    default:
      return null; // steps, usage, the checkpoint: useChat's business
  }
}

/** What is being looked up; what is drawn or asked speaks for itself. */
function Step({ part: { toolName, title, state, output } }) {
  if (toolName.startsWith("display_") || toolName === "ask_user") return null;
  const told = { "output-available": `: ${output?.summary}`, "output-error": " did not work" };
  return <small className="step">{title}{told[state] ?? "…"}</small>;
}

/** Answers to what the copilot asked back; any other one can be typed. */
function Options({ options, ask }) {
  return (
    <p className="row">
      {options.map(({ label, value, effect }) => (
        <button key={value} title={effect} disabled={!ask} onClick={() => ask(value)}>{label}</button>
      ))}
    </p>
  );
}
