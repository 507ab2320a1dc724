/** The JSON of each server-sent event of a response's body, as it comes; comments and `[DONE]` are passed over. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const blocks = (rest + read.value).split("\n\n");
      rest = blocks.pop(); // not complete yet
      for (const block of blocks) {
        const data = block.split("\n").find((line) => line.startsWith("data: "));
        if (data && data !== "data: [DONE]") yield JSON.parse(data.slice("data: ".length));
      }
    }
  } finally {
    await reader.cancel(); // whoever stops reading leaves: the service then ends the run
  }
}
