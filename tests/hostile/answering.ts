/**
 * The other end of a `TalkingProcess`: reads questions from standard input and
 * writes answers and events to standard output.
 *
 * @module
 */

/** The details of a question. */
export type Question = Record<string, unknown>;
/** Answers questions by their names. */
export type Answers = Record<
  string,
  (question: Question) => object | Promise<object>
>;

const encoder = new TextEncoder();

/** Writes an event. */
export function say(event: object): void {
  const bytes = encoder.encode(`${JSON.stringify(event)}\n`);
  for (let at = 0; at < bytes.length;) {
    at += Deno.stdout.writeSync(bytes.subarray(at));
  }
}

/** Answers every question until standard input ends. */
export async function answerAll(answers: Answers): Promise<void> {
  let rest = "";
  const stream = Deno.stdin.readable.pipeThrough(new TextDecoderStream());
  for await (const piece of stream) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop()!;
    for (const line of lines) void answer(JSON.parse(line), answers);
  }
}

async function answer(question: Question, answers: Answers): Promise<void> {
  const { id, ask } = question;
  const given = await answers[String(ask)]!(question);
  say({ ...given, id });
}
