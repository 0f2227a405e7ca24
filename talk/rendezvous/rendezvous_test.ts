/** Peers that meet at a rendezvous, all on loopback. */
import { dial, handlerFrom, listen, type Peer } from "@qtalk/qtalk";
import {
  type RendezvousLimits,
  rendezvousService,
} from "@qtalk/qtalk/rendezvous";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Harness, test } from "../../tests/support/harness.ts";
import { makeIdentity } from "../../tests/support/identities.ts";
import { loopbackCertificate } from "../../tests/support/quic.ts";
import { TalkError } from "../errors.ts";
import { RendezvousError } from "./errors.ts";

const [ann, bob, mallory] = await Promise.all(
  ["ann", "bob", "mallory"].map(makeIdentity),
) as
  & [Awaited<ReturnType<typeof makeIdentity>>, never, never]
  & Record<
    number,
    Awaited<ReturnType<typeof makeIdentity>>
  >;
