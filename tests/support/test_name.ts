/** Names that a sentence may begin with although they begin with a capital. */
const PROPER_NAMES = ["Bun", "Chromium", "Deno", "Go", "Node", "Redis", "Unix"];

/**
 * What is wrong with the name of a test; undefined if nothing is. A name is the
 * symbol or the feature, a colon, and a sentence about one behaviour, such as
 * `peer.close(): waits for the calls that are running`.
 */
export function testNameProblem(name: string): string | undefined {
  const colon = name.indexOf(": ");
  if (colon <= 0) return "there is no symbol or feature before a colon";
  const symbol = name.slice(0, colon);
  const sentence = name.slice(colon + 2);
  if (/\n|\s{2}|^\s|\s$/.test(name)) return "there is a line break or a gap";
  if (symbol.split(" ").length > 8) return "the feature has over eight words";
  const words = sentence.split(" ");
  if (words.length < 2) return "the sentence is one word";
  if (/[.!]$/.test(sentence)) return "the sentence ends with a full stop";
  if (!beginsLower(words[0]!)) return "the sentence begins with a capital";
  return undefined;
}

/** Whether a sentence begins as it does in its middle: in lower case or code. */
function beginsLower(word: string): boolean {
  if (!/^[A-Z]/.test(word)) return true;
  if (PROPER_NAMES.includes(word.replace(/\W.*$/, ""))) return true;
  // Code and acronyms: OPEN_CONFIRM, JSON, RpcError, Peer.call(), Date#now.
  return /[A-Z0-9_.#(<[].*/.test(word.slice(1));
}
