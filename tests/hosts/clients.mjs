// A TypeScript SDK as a host of MCP uses it; prints what it found, as JSON.
// Arguments: v1 (the handshake of 2025-11-25) or v2 (2026-07-28), the service, a key, a draft, an answer to what is asked back.

const [, , major, service, key, draft, answer] = process.argv;
const requestInit = { headers: { Authorization: `Bearer ${key}` } };
const url = new URL("/mcp", service);

async function connect() {
  if (major === "v1") {
    const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
    const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
    const client = new Client({ name: "test", version: "1" });
    await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
    return client;
  }
  const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
  const client = new Client({ name: "test", version: "1" }, { capabilities: { elicitation: {} }, versionNegotiation: { mode: { pin: "2026-07-28" } } });
  client.setRequestHandler("elicitation/create", ({ params }) => {
    told.asked = params.message;
    return { action: "accept", content: { answer } };
  });
  await client.connect(new StreamableHTTPClientTransport(url, { requestInit }));
  return client;
}

const told = {};
const client = await connect();
told.server = client.getServerVersion().name;
told.tools = (await client.listTools()).tools.map(({ name }) => name);
told.views = (await client.listResources()).resources.map(({ uri }) => uri);
told.page = (await client.readResource({ uri: told.views[0] })).contents[0].mimeType;
told.prompts = (await client.listPrompts()).prompts.map(({ name }) => name);
const proposed = await client.callTool({ name: "propose_segment", arguments: JSON.parse(draft) });
told.count = proposed.structuredContent.count;
told.refused = (await client.callTool({ name: "get_event_schema", arguments: { event_type: "nope" } })).isError;
const steps = [];
const asked = await client.callTool({ name: "ask_copilot", arguments: { question: "Who visited?" } }, ...(major === "v1" ? [undefined] : []), { onprogress: ({ message }) => steps.push(message) });
told.answer = asked.structuredContent;
told.steps = steps;
await client.close();
console.log(JSON.stringify(told));
