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
