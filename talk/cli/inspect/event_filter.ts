import type { ObservedChannel, ObservedEvent } from "../../observe/events.ts";

/** Events of a channel that wait until it is known what is called on it. */
const MAX_WAITING = 64;
/** Channels with events that wait. */
const MAX_CHANNELS = 1_024;

/** Which events are wanted. */
export interface FilterOptions {
  /** Selectors: `math.add`, or all that begin with `math.`, as `math.` or `math.*`. */
  readonly selector: string | undefined;
  /** The number of a channel. */
  readonly channel: number | undefined;
}

/** Makes an observer that passes on the events of the calls that are wanted. */
export function filtered(
  { selector, channel }: FilterOptions,
  pass: (event: ObservedEvent) => void,
): (event: ObservedEvent) => void {
  if (selector === undefined && channel === undefined) return pass;
  const waiting = new Map<number, ObservedEvent[]>();
  const matches = selector === undefined ? () => true : matcher(selector);
  return (event) => {
    const on = channelOf(event);
    if (on === undefined) {
      if (event.type !== "frame") pass(event);
      return;
    }
    if (channel !== undefined && on.number !== channel) return;
    if (selector === undefined) return pass(event);
    if (on.call !== undefined) {
      const held = waiting.get(on.number);
      if (held !== undefined) waiting.delete(on.number);
      if (!matches(on.call.selector)) return;
      held?.forEach(pass);
      return pass(event);
    }
    hold(on, event);
  };

  /** Keeps what happens on a channel before its call. */
  function hold({ number }: ObservedChannel, event: ObservedEvent): void {
    if (event.type === "channel" && event.state !== "opened") {
      waiting.delete(number);
      return;
    }
    let held = waiting.get(number);
    if (held === undefined) {
      if (waiting.size >= MAX_CHANNELS) {
        const [oldest] = waiting.keys();
        waiting.delete(oldest!);
      }
      waiting.set(number, held = []);
    }
    if (held.length < MAX_WAITING) held.push(event);
  }
}

function channelOf(event: ObservedEvent): ObservedChannel | undefined {
  return "channel" in event ? event.channel : undefined;
}

/** Whether a selector is the one of a pattern, or begins like it. */
function matcher(pattern: string): (selector: string) => boolean {
  const wanted = canonical(pattern.replace(/\*$/, ""));
  return wanted.endsWith("/")
    ? (selector) => canonical(selector).startsWith(wanted)
    : (selector) => canonical(selector) === wanted;
}

function canonical(selector: string): string {
  return `/${selector.replaceAll(".", "/").replace(/^\//, "")}`;
}
