// A host of MCP Apps, in a page: calls a tool, and has what it gives drawn in a frame of another origin. `apps.mjs` serves it.

import { AppBridge, PostMessageTransport, RESOURCE_MIME_TYPE, getToolUiResourceUri } from "@modelcontextprotocol/ext-apps/app-bridge";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const INFO = { name: "test host", version: "1" };
const extensions = { "io.modelcontextprotocol/ui": { mimeTypes: [RESOURCE_MIME_TYPE] } };
const client = new Client(INFO, { capabilities: { extensions }, versionNegotiation: { mode: { pin: "2026-07-28" } } });
const connected = client.connect(new StreamableHTTPClientTransport(new URL("/mcp", location.href)));
const tools = connected.then(async () => new Map((await client.listTools()).tools.map((tool) => [tool.name, tool])));

/** Call a tool and open its view; tells what the view told the model. */
window.open_ = async (name, given, theme) => {
  const tool = (await tools).get(name);
  const result = await client.callTool({ name, arguments: given });
  const [content] = (await client.readResource({ uri: getToolUiResourceUri(tool) })).contents;
  if (content.mimeType !== RESOURCE_MIME_TYPE) throw new Error(`no view: ${content.mimeType}`);
  document.body.replaceChildren();
  document.documentElement.style.background = theme === "dark" ? "#14161f" : "#fff";
  const frame = document.body.appendChild(document.createElement("iframe"));
  Object.assign(frame.style, { width: "100%", height: "40px", border: "0" });
  frame.sandbox = "allow-scripts allow-same-origin";
  const bridge = new AppBridge(client, INFO, { serverTools: {}, updateModelContext: { text: {} } }, { hostContext: { theme, displayMode: "inline" } });
  window.told = [];
  bridge.onupdatemodelcontext = async ({ content }) => {
    window.told.push(content[0].text);
    return {};
  };
  bridge.onsizechange = ({ height }) => {
    frame.style.height = `${height}px`;
  };
  const proxied = new Promise((resolve) => window.addEventListener("message", ({ source, data }) => source === frame.contentWindow && data?.method === "ui/notifications/sandbox-proxy-ready" && resolve()));
  frame.src = window.SANDBOX;
  await proxied;
  const ready = new Promise((resolve) => (bridge.oninitialized = resolve));
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  await bridge.sendSandboxResourceReady({ html: content.text });
  await ready;
  await bridge.sendToolInput({ arguments: given });
  await bridge.sendToolResult(result);
};
