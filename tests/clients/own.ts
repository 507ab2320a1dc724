// What a caller of our own client does: create, preview, compute, page, ask, be refused. Prints what it got, as JSON.
// Arguments: the service's address, a key.

import { Problem, SegmentCopilot, StreamFailed, type Definition, type Draft } from "segment-copilot-client";

declare const process: { argv: string[] };
const [, , url, credential] = process.argv as [string, string, string, string];
const client = new SegmentCopilot({ url, credential });

const definition: Definition = { logic: "AND", conditions: [{ type: "event_count", event_type: "order_placed", operator: "gte", value: 1 }] };
const preview = await client.of(client.api.POST("/api/segments/preview/", { body: { definition } }));
const segment = await client.of(client.api.POST("/api/segments/", { body: { name: "From our client", definition } }));
const path = { segment_id: segment.id };
await client.of(client.api.POST("/api/segments/{segment_id}/compute/", { params: { path } }));
const read = () => client.of(client.api.GET("/api/segments/{segment_id}/", { params: { path } }));
let computed = await read();
while (computed.status !== "computed") computed = await read();

const members: string[] = [];
for await (const { user_id } of client.all((cursor) => client.api.GET("/api/segments/{segment_id}/members/", { params: { path, query: { limit: 1, ...(cursor && { cursor }) } } }))) {
  members.push(user_id);
}
const names: string[] = [];
for await (const { name } of client.all((cursor) => client.api.GET("/api/segments/", { params: { query: { limit: 1, ...(cursor && { cursor }) } } }))) {
  names.push(name);
}

let text = "";
let words = "";
for await (const event of client.ask({ messages: [{ role: "user", content: "Users who placed an order in the last 7 days" }] })) {
  if (event.type === "text.delta") text += event.delta;
  if (event.type === "segment.draft") words = event.words;
}
let left = 0;
for await (const event of client.ask({ messages: [{ role: "user", content: "How many orders per day?" }] })) {
  left += event.seq + 1;
  break; // whoever leaves the loop ends the run
}

async function refused(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof Problem) return `${error.status} ${error.code} ${error.errors[0]?.pointer ?? ""}`.trim();
    if (error instanceof StreamFailed) return error.code;
    throw error;
  }
  return "";
}
const wrong = { logic: "AND", conditions: [{ type: "recency", event_type: "order_placed" }] } as unknown as Definition;
const stranger = new SegmentCopilot({ url, credential: async () => "sk_nobody" });
const refusals = [
  await refused(() => client.of(client.api.POST("/api/segments/preview/", { body: { definition: wrong } }))),
  await refused(() => stranger.of(stranger.api.GET("/api/segments/"))),
  await refused(() => stranger.ask({ messages: [{ role: "user", content: "Hello" }] }).next()),
];

/** A draft's definition is one to send on, and its conditions are told apart by their type. */
export function lengths(draft: Draft): number[] {
  return draft.definition.conditions.flatMap((condition) => (condition.type === "recency" ? [condition.window_days ?? 0] : []));
}

console.log(JSON.stringify({ matched: preview.matched_users, member_count: computed.member_count, members, names, said: text.length > 0, words, left, refusals }));
