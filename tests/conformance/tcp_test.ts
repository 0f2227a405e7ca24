import { listeningPair } from "./listening_pair.ts";
import { testSession } from "./session_suite.ts";

testSession("session over TCP", listeningPair("tcp://127.0.0.1:0"));
