/** A typed client of segment-copilot: every route, problems as errors, pages and the copilot's stream as async iterators. */

import createClient, { type Client, type ClientOptions } from "openapi-fetch";
import type { components, paths } from "./schema.js";

export type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
export type Definition = Schemas["Definition"];
export type Draft = Schemas["Draft"];
export type Segment = Schemas["Segment"];
/** What the copilot is asked: the whole conversation, and what came of it so far. */
export type Question = Schemas["CopilotRequest"];
/** One event of a stream, told apart by its `type`; `seq` counts 0, 1, 2, … and leaves none out, `ts` are milliseconds since 1970. */
export type StreamEvent = Schemas["CopilotEvent"];

export interface Options extends Omit<ClientOptions, "baseUrl" | "headers"> {
  /** Where the service is, such as `https://segments.example.com`. */
  url: string;
  /** A key (`sk_…`, `pk_…`), or the token of a session; a function is asked before each request, so a token may end. */
  credential: string | (() => string | Promise<string>);
}

/** A request that the service refused: an RFC 9457 problem, with a `code` that does not change. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly status: number;
  readonly code: string;
  readonly errors: Schemas["ProblemError"][];
  readonly requestId: string;

  constructor(problem: Schemas["Problem"]) {
    super(problem.detail || problem.title);
    this.status = problem.status;
    this.code = problem.code;
    this.errors = problem.errors ?? [];
    this.requestId = problem.request_id;
  }
}

/** A stream that ended without its last event, or with `run.error`. */
export class StreamFailed extends Error {
  override readonly name = "StreamFailed";

  constructor(message: string, readonly code: string, readonly retryable: boolean) {
    super(message);
  }
}

/** The answer of a request of `api`, as openapi-fetch gives it. */
type Answered<T> = Promise<{ data?: T; error?: unknown; response: Response }>;

export class SegmentCopilot {
  /** Every route of the OpenAPI document: `client.api.GET("/api/segments/", { params: { query: { limit: 10 } } })`. */
  readonly api: Client<paths>;
  readonly #url: string;
  readonly #credential: Options["credential"];
  readonly #fetch: (request: Request) => Promise<Response>;

  constructor({ url, credential, ...options }: Options) {
    this.#url = url.replace(/\/$/, "");
    this.#credential = credential;
    this.#fetch = options.fetch ?? ((request) => fetch(request));
    this.api = createClient<paths>({ ...options, baseUrl: this.#url });
    this.api.use({
      onRequest: async ({ request }) => {
        request.headers.set("Authorization", await this.#authorization());
        // Repeated after a lost answer, the same request does nothing twice.
        if (request.method === "POST" && !request.headers.has("Idempotency-Key")) request.headers.set("Idempotency-Key", crypto.randomUUID());
        return request;
      },
    });
  }

  /** The data of an answer: `await client.of(client.api.GET(…))`. Throws a `Problem` where the service refused. */
  async of<T>(answer: Answered<T>): Promise<T> {
    const { data, error, response } = await answer;
    if (!response.ok) throw problemOf(response, error);
    return data as T;
  }

  /** Every record of a list, page after page: `for await (const one of client.all((cursor) => client.api.GET(…)))`. */
  async *all<T>(page: (cursor: string | undefined) => Answered<{ results: T[]; next_cursor?: string | null }>): AsyncGenerator<Whole<T>> {
    let cursor: string | undefined;
    do {
      const { results, next_cursor } = await this.of(page(cursor));
      yield* results as Whole<T>[];
      cursor = next_cursor ?? undefined;
    } while (cursor);
  }

  /**
   * The events of one answer of the copilot, as they come; leaving the loop ends the run.
   *
   * Throws a `Problem` before anything began, and `StreamFailed` on `run.error` or when the stream was cut.
   */
  async *ask(question: Question, options: { signal?: AbortSignal } = {}): AsyncGenerator<StreamEvent> {
    const headers = { Authorization: await this.#authorization(), "Content-Type": "application/json" };
    const request = new Request(`${this.#url}/api/copilot/stream/`, { method: "POST", headers, body: JSON.stringify(question), ...options });
    const response = await this.#fetch(request);
    if (!response.ok || !response.body) throw problemOf(response, await response.json().catch(() => undefined));
    for await (const event of events(response.body)) {
      if (event.type === "run.error") throw new StreamFailed(event.message, event.code, event.retryable);
      yield event;
      if (event.type === "run.finished") return;
    }
    throw new StreamFailed("The stream was cut; ask again.", "cut", true);
  }

  async #authorization(): Promise<string> {
    const credential = typeof this.#credential === "string" ? this.#credential : await this.#credential();
    return `${/^[a-z]+_/.test(credential) ? "ApiKey" : "Bearer"} ${credential}`;
  }
}

/** A record as a list without `fields` has it: the whole one. */
type Whole<T> = T extends unknown ? (Partial<T> extends T ? never : T) : never;

function problemOf(response: Response, body: unknown): Problem {
  const told = body as Partial<Schemas["Problem"]> | undefined;
  return new Problem({
    type: "about:blank", title: response.statusText, status: response.status, detail: `The service answered ${response.status}.`,
    instance: "", code: "unreadable_answer", request_id: response.headers.get("x-request-id") ?? "", errors: [], ...told,
  });
}

async function* events(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as TransformStream<Uint8Array, string>).getReader();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const blocks = (rest + read.value).split("\n\n");
      rest = blocks.pop() ?? "";
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (data) yield JSON.parse(data.slice("data: ".length)) as StreamEvent;
      }
    }
  } finally {
    await reader.cancel();
  }
}
