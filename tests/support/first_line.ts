/** The first line of an output; what follows is dropped. */
export async function firstLine(
  output: ReadableStream<Uint8Array>,
): Promise<string> {
  let text = "";
  for await (const piece of output.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
  return text;
}
