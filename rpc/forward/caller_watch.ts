import { timeLimit } from "../../time_limit.ts";
import type { ServerCall } from "../server/server_call.ts";

/** Milliseconds that a target may take nothing of a call whose caller has gone. */
const MAX_WAIT = 10_000;

/**
 * The same for what is left of a call that an extended caller has cut off: it
 * looks incomplete, whatever the target takes of it.
 */
const MAX_WAIT_OF_CUT = 250;

/**
 * Closes the call at the target when its caller has closed it.
 *
 * Before the response, nothing of an extended caller's call is wanted any more.
 * After that, or from another caller, what has arrived is still delivered, as long
 * as the target takes it: a target that does not read could otherwise never be
 * informed, and would keep the slots of both channels. It has less time if the
 * caller has cut the call off, as it does when its signal aborts.
 *
 * @param giveUpAtTarget closes it there; its argument says whether the caller was answered
 */
export function watchCaller(
  { channel: incoming, request }: ServerCall,
  giveUpAtTarget: (answered: boolean) => void,
): { answered(): void; stop(): void } {
  let answered = false;
  let cancelLimit: (() => void) | undefined;
  const giveUp = () => {
    giveUpAtTarget(answered);
    incoming.cancelRead();
  };
  const checkProgress = () => {
    const { buffered } = incoming;
    const isCut = request.extended && !incoming.eofReceived;
    cancelLimit = timeLimit(isCut ? MAX_WAIT_OF_CUT : MAX_WAIT, () => {
      if (incoming.buffered === buffered) giveUp();
      else checkProgress();
    });
  };
  const onClosed = () => {
    if (!answered && request.extended) giveUp();
    else checkProgress();
  };
  incoming.whenClosed(onClosed);
  return {
    answered: () => answered = true,
    stop() {
      incoming.cancelWhenClosed(onClosed);
      cancelLimit?.();
    },
  };
}
