using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "plain", worker = (
      modules = [(name = "worker", esModule = embed "out/worker/worker.mjs")],
      compatibilityDate = "2026-01-01",
    )),
    (name = "compatible", worker = (
      modules = [(name = "worker", esModule = embed "out/worker/worker.mjs")],
      compatibilityDate = "2026-01-01",
      compatibilityFlags = ["nodejs_compat"],
    )),
    (name = "internet", network = (allow = ["private"])),
  ],
  sockets = [
    (name = "plain", address = "127.0.0.1:0", http = (), service = "plain"),
    (name = "compatible", address = "127.0.0.1:0", http = (),
      service = "compatible"),
  ],
);
