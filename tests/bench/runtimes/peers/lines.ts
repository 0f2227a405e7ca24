import type { Socket } from "node:net";

/** Texts without line feeds over a socket, each on a line of its own. */
export function linesOf(socket: Socket) {
  return {
    post: (text: string) => void socket.write(`${text}\n`),
    on(take: (text: string) => void): void {
      let rest = "";
      socket.setEncoding("utf8");
      socket.on("data", (text: unknown) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) take(line);
      });
    },
  };
}
