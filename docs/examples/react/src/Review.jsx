import { useState } from "react";
import { save } from "./backend.js";

const number = (value) => value.toLocaleString("en");

/** A draft to review: who is in it, what was assumed, what could not be said; then its name, and saving it. */
export function Draft({ draft, button }) {
  const { name, description, words, preview, assumptions, unmapped, warnings, definition } = draft;
  return (
    <article className="card">
      <h2>{name}</h2>
      <p>{words}</p>
      <p className="count">{number(preview.count)} <small>of {number(preview.universe)} users ({preview.percent} %)</small></p>
      <Points title="Assumed" points={assumptions} />
      <Points title="Not in the data" points={unmapped} />
      <Points title="Note" points={warnings.map(({ detail }) => detail)} />
      <details>
        <summary>Definition</summary>
        <pre>{JSON.stringify(definition, null, 2)}</pre>
      </details>
      {button && <Save name={name} description={description} button={button} />}
    </article>
  );
}

function Points({ title, points }) {
  if (!points.length) return null;
  return <><h3>{title}</h3><ul>{points.map((point) => <li key={point}>{point}</li>)}</ul></>;
}

/** The form behind the button: `save` makes a new segment; `update`, where there is one, changes the segment the draft was made from. */
function Save({ button, ...suggested }) {
  const [fields, setFields] = useState(suggested);
  const [state, setState] = useState({});
  if (state.saved) return <p role="status">Saved as segment {state.saved.id}: {state.saved.name}</p>;

  const send = async (request) => {
    setState({ busy: true });
    try {
      setState({ saved: await save(request) });
    } catch (error) {
      setState({ error: error.message });
    }
  };
  const submit = (event) => {
    event.preventDefault();
    send({ ...button.save, body: { ...button.save.body, ...fields } });
  };
  const field = (name, label) => (
    <label>{label}<input required={name === "name"} maxLength={name === "name" ? 80 : 500} value={fields[name]} onChange={(event) => setFields({ ...fields, [name]: event.target.value })} /></label>
  );
  return (
    <form className="review" onSubmit={submit}>
      {field("name", "Name")}
      {field("description", "Description")}
      <p className="row">
        <button disabled={state.busy}>Save segment</button>
        {button.update && <button type="button" disabled={state.busy} onClick={() => send(button.update)}>Change the saved segment</button>}
      </p>
      {state.error && <p role="alert">{state.error}</p>}
    </form>
  );
}
