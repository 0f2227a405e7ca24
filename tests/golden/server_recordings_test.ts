/**
 * Our server against the recorded clients.
 *
 * @module
 */
import { testReplays } from "./replay_case.ts";
import { castServer } from "./server_programs.ts";

testReplays("server", castServer);
