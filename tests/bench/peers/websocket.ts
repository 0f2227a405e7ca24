/** Serves WebSockets on 127.0.0.1; resolves to the URL. */
export function listenWebSocket(handle: (socket: WebSocket) => void): string {
  const { addr } = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      const { socket, response } = Deno.upgradeWebSocket(request);
      socket.addEventListener("open", () => handle(socket));
      return response;
    },
  );
  return `ws://127.0.0.1:${addr.port}`;
}

/** Connects with Deno's own client. */
export async function openWebSocket(url: string): Promise<WebSocket> {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => {
    socket.addEventListener("open", resolve);
    socket.addEventListener("error", reject);
  });
  return socket;
}
