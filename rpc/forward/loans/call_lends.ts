import type { MemoryKind } from "../../../mux/internal.ts";
import { PointerFinder } from "../../callback/pointer_finder.ts";
import type { ServerCall } from "../../server/server_call.ts";

/** What an ID that is remembered counts as, in bytes. */
const ID_SIZE = 128;

/**
 * The functions and streams in a call, of which its responder can keep each once:
 * those that it has already must not seem to be lent to it again.
 */
export class CallLends {
  readonly #memory: MemoryKind;
  readonly #finder: PointerFinder;
  readonly #ids = new Set<string>();
  #ended = false;

  /**
   * Makes what remembers the IDs that begin with `prefix`, as far as there is memory.
   *
   * @param onId called with each ID
   */
  constructor(
    prefix: string,
    { session }: ServerCall,
    onId?: (id: string) => void,
  ) {
    this.#memory = session.account.arguments;
    this.#finder = new PointerFinder((id) => {
      if (this.#ids.has(id)) return;
      onId?.(id);
      if (!this.#memory.tryTake(ID_SIZE)) return;
      this.#ids.add(id);
    }, prefix);
  }

  /** Looks at the next bytes of the call. */
  readonly onBytes = (bytes: Uint8Array): void => {
    if (!this.#ended) this.#finder.add(bytes);
  };

  /** Those of some IDs that are in the call, each once. */
  among(ids: readonly string[]): string[] {
    return [...new Set(ids)].filter((id) => this.#ids.has(id));
  }

  /** The responder has said what it keeps, or never will. */
  end(): void {
    this.#ended = true;
    this.#memory.give(this.#ids.size * ID_SIZE);
    this.#ids.clear();
  }
}
