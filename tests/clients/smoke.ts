// What a caller of the generated types does: create, preview, compute, page, export. Prints what it got, as JSON.
// Arguments: the service's address, a key.

import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Definition = components["schemas"]["Definition"];

declare const process: { argv: string[] };
const [, , baseUrl, key] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `ApiKey ${key}` } });

const definition: Definition = {
  logic: "AND",
  conditions: [{ type: "event_count", event_type: "order_placed", operator: "gte", value: 1 }],
};

/** The data of an answer; a problem is an error with its words. */
async function of<T>(answer: Promise<{ data?: T; error?: components["schemas"]["Problem"] }>): Promise<T> {
  const { data, error } = await answer;
  if (data === undefined) throw new Error(error?.detail);
  return data;
}

async function until<T>(ask: () => Promise<T>, isDone: (answer: T) => boolean): Promise<T> {
  for (;;) {
    const answer = await ask();
    if (isDone(answer)) return answer;
  }
}

const preview = await of(client.POST("/api/segments/preview/", { body: { definition } }));
const segment = await of(client.POST("/api/segments/", { body: { name: "From TypeScript", definition } }));
const path = { segment_id: segment.id };
await of(client.POST("/api/segments/{segment_id}/compute/", { params: { path } }));
const computed = await until(
  () => of(client.GET("/api/segments/{segment_id}/", { params: { path } })),
  (answer) => answer.status === "computed",
);

const members: string[] = [];
let cursor: string | undefined;
do {
  const page = await of(
    client.GET("/api/segments/{segment_id}/members/", { params: { path, query: { limit: 1, cursor } } }),
  );
  members.push(...page.results.flatMap((member) => member.user_id ?? []));  // with `fields`, it may not be there
  cursor = page.next_cursor ?? undefined;
} while (cursor);

const { export_id } = await of(
  client.POST("/api/segments/{segment_id}/export/", { params: { path }, body: { format: "ndjson" } }),
);
const exported = await until(
  () => of(client.GET("/api/segments/{segment_id}/export/", { params: { path, query: { export_id } } })),
  (answer) => answer.status !== "pending",
);

/** A draft's definition is one to send on, and its conditions are told apart by their type. */
export function lengths(draft: components["schemas"]["Draft"]): number[] {
  const sent: Definition = draft.definition;
  return sent.conditions.flatMap((condition) => (condition.type === "recency" ? [condition.window_days ?? 0] : []));
}

console.log(
  JSON.stringify({
    matched: preview.matched_users,
    name: segment.name,
    member_count: computed.member_count,
    members,
    exported: exported.status,
  }),
);
