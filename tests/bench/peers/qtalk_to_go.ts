import type { DenoPeer } from "../peer.ts";
import { connectTo } from "./qtalk.ts";

/** This package's client on the server of qtalk-go. */
const peer: DenoPeer = {
  connect: (address) => connectTo(`tcp://${address}`, "echo", (value) => value),
};
export default peer;
