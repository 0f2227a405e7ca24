// The script of the page of main.ts, which serves it as client.bundle.js. Run
// `deno task bundle` after a change here or in the library. A part of main.ts;
// tried by tests/deploy_test.ts.

import { dial, handlerFrom } from "@qtalk/qtalk";
import type { Service, Visitor } from "./app.ts";

/** The part of the DOM that this script uses. */
interface Element {
  textContent: string | null;
  value: string;
  className: string;
  replaceChildren(...children: Element[]): void;
  addEventListener(
    type: "submit" | "click",
    listener: (event: { preventDefault(): void }) => void,
  ): void;
}
declare const document: {
  getElementById(id: string): Element | null;
  createElement(tag: string): Element;
};

/** The name of this user, which joins again with each connection. */
let joined: string | undefined;

const element = (id: string) => document.getElementById(id)!;

function show(id: string, text: string): void {
  element(id).textContent = text;
}

const visitor: Visitor = {
  state(names) {
    element("names").replaceChildren(...names.map((name) => {
      const item = document.createElement("li");
      item.textContent = name; // never as HTML
      if (name === joined) item.className = "me";
      return item;
    }));
    show("count", String(names.length));
  },
  tick: (left) => show("answer", `${left} …`),
};

const address = new URL("rpc", globalThis.location.href);
address.protocol = address.protocol.replace("http", "ws");
const peer = await dial(address.href, {
  handler: handlerFrom(visitor),
  reconnect: {
    maxDelay: 5_000,
    // The server forgets the name when the connection is lost.
    async onConnect(peer) {
      if (joined !== undefined) await peer.call("join", [joined]);
    },
    onState(state) {
      element("connection").className = state.name;
      show("connection", state.name);
    },
  },
});

/** Calls the server, with the types of its functions. */
async function call<Name extends keyof Service>(
  name: Name,
  ...args: Parameters<Service[Name]>
): Promise<Awaited<ReturnType<Service[Name]>>> {
  return await peer.call(name, args) as Awaited<ReturnType<Service[Name]>>;
}

/** Runs an action when a form is sent or a button is pressed; shows its error. */
function on(
  id: string,
  type: "submit" | "click",
  action: () => Promise<void>,
): void {
  element(id).addEventListener(type, async (event) => {
    event.preventDefault();
    try {
      show("error", "");
      await action();
    } catch (error) {
      show("error", error instanceof Error ? error.message : String(error));
    }
  });
}

on("join", "submit", async () => {
  const name = element("name").value.trim();
  const names = await call("join", name);
  joined = name;
  visitor.state(names);
});
on("leave", "click", async () => {
  joined = undefined;
  await call("leave");
});
on("upper", "submit", async () => {
  show("answer", await call("upper", element("text").value));
});
on("countdown", "click", async () => {
  show("answer", await call("countdown", 3));
});
