// The components that the copilot draws. Their props are in /api/copilot/protocol.json; text is text, never HTML.

const number = (value) => (value ?? null) === null ? "–" : value.toLocaleString("en");

export function Component({ name, props }) {
  switch (name) {
    case "MetricCard":
      return <MetricCard {...props} />;
    case "SegmentTable":
      return <SegmentTable {...props} />;
    case "EventVolumeChart":
      return <EventVolumeChart {...props} />;
    case "CreateSegmentCTA":
      return null; // with its draft: Review.jsx
    default:
      return <p className="card">This page cannot draw {name} yet.</p>;
  }
}

function MetricCard({ title, value, unit, note }) {
  return (
    <figure className="card">
      <figcaption>{title}</figcaption>
      <p className="count">{number(value)} <small>{unit}</small></p>
      {note && <small>{note}</small>}
    </figure>
  );
}

function SegmentTable({ title, rows, total, truncated }) {
  return (
    <div className="card scroll" tabIndex={0}>
      <table>
        <caption>{title}</caption>
        <thead>
          <tr><th scope="col">Segment</th><th scope="col">Tier</th><th scope="col" className="number">Members</th></tr>
        </thead>
        <tbody>
          {rows.map(({ id, name, tier, member_count: members }) => (
            <tr key={id}><td>{name}</td><td>{tier.replace("_", " ")}</td><td className="number">{number(members)}</td></tr>
          ))}
        </tbody>
      </table>
      {truncated && <small>{rows.length} of {number(total)}</small>}
    </div>
  );
}

function EventVolumeChart({ title, unit, points, from, to, timezone }) {
  const most = Math.max(...points.map(({ y }) => y), 1);
  const [width, height] = [100 / points.length, 40];
  return (
    <figure className="card">
      <figcaption>{title}</figcaption>
      <small>{unit}, {from.slice(0, 10)} to {to.slice(0, 10)}, {timezone}; at most {number(most)}</small>
      <svg viewBox={`0 0 100 ${height}`} role="img" aria-label={`${title}: ${points.length} values`}>
        {points.map(({ x, y, partial }, at) => (
          <rect key={x} className={partial ? "part" : "bar"} x={at * width + width * 0.1} width={width * 0.8} y={height * (1 - y / most)} height={(height * y) / most}>
            <title>{`${x}: ${number(y)} ${unit}${partial ? " (a part of the day)" : ""}`}</title>
          </rect>
        ))}
      </svg>
      <small className="axis"><span>{points.at(0)?.x}</span><span>{points.at(-1)?.x}</span></small>
    </figure>
  );
}
