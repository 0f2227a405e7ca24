/**
 * Our client against the recorded servers.
 *
 * @module
 */
import { castClient } from "./client_programs.ts";
import { testReplays } from "./replay_case.ts";

testReplays("client", castClient);
