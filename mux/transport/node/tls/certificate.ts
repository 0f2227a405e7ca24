import { ipv6Of } from "../../address_forms.ts";
import type { PeerCertificate } from "../../types.ts";

/** What is used of a certificate that Node describes. */
export interface NodeCertificate {
  /** The names of who it is for. */
  subject?: Record<string, string | string[]>;
  /** Further names, in one text. */
  subjectaltname?: string;
  /** The SHA-256 hash of its bytes. */
  fingerprint256?: string;
  /** The beginning of its time. */
  valid_from?: string;
  /** The end of its time. */
  valid_to?: string;
}

/** A certificate for programs; undefined if there is none. */
export function certificateOf(
  certificate: NodeCertificate | null | undefined,
): PeerCertificate | undefined {
  const {
    subject = {},
    subjectaltname = "",
    fingerprint256,
    valid_from = "",
    valid_to = "",
  } = certificate ?? {};
  if (fingerprint256 === undefined) return undefined;
  return {
    subject: Object.entries(subject)
      .flatMap(([name, values]) =>
        [values].flat().map((value) =>
          // A comma in a value must not look like the end of it.
          `${name}=${value.replace(/[\\,]/g, "\\$&")}`
        )
      ).join(", "),
    names: namesIn(subjectaltname),
    fingerprint: fingerprintOf(fingerprint256)!,
    validFrom: new Date(valid_from),
    validTo: new Date(valid_to),
  };
}

/** Why a certificate is not valid now, as a predicate; undefined if it is. */
export function problemOfTime(
  { validFrom, validTo }: PeerCertificate,
): readonly ["expired" | "not-yet-valid", why: string] | undefined {
  const now = new Date();
  if (validTo < now) {
    return ["expired", `expired on ${validTo.toISOString()}`];
  }
  // Not `validFrom <= now`: a runtime may not understand a time.
  if (validFrom > now) {
    return ["not-yet-valid", `is not valid before ${validFrom.toISOString()}`];
  }
  return undefined;
}

/**
 * Whether a certificate is for an address of IPv6. Node 22.23 says that none is: it
 * takes the address for a name, and appends a full stop.
 */
export function isForAddress(
  { subjectaltname = "" }: NodeCertificate,
  address: string,
): boolean {
  const wanted = ipv6Of(address);
  return wanted !== undefined &&
    namesIn(subjectaltname).some((name) =>
      name.startsWith("IP:") && ipv6Of(name.slice(3)) === wanted
    );
}

/** The hash of a certificate in one form; undefined if it is none. */
export function fingerprintOf(text: string): string | undefined {
  const digits = text.replace(/^sha256:/i, "").replaceAll(":", "")
    .toLowerCase();
  return /^[0-9a-f]{64}$/.test(digits) ? `sha256:${digits}` : undefined;
}

/**
 * The names in a text such as `DNS:localhost, IP Address:127.0.0.1`. Node quotes
 * names that have commas themselves, so that none can pass for two.
 */
function namesIn(text: string): string[] {
  const found = text.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return found.map((part) => {
    const [, kind, value] = /^\s*([^:]*):(.*)$/s.exec(part) ?? ["", "", part];
    const name = value!.startsWith('"') ? JSON.parse(value!) : value;
    return `${kind === "IP Address" ? "IP" : kind}:${name}`;
  });
}
