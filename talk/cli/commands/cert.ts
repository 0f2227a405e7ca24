import { isIP } from "node:net";
import { join } from "node:path";
import { printableText } from "../../../printable_text.ts";
import {
  AuthorityError,
  type CertificateRequest,
  type Credentials,
  type MakeCertificate,
} from "../certificates/types.ts";
import { count, defineCommand } from "../command.ts";
import { EXIT, UsageError } from "../exit_code.ts";
import { moduleUrl } from "../../../module_url.ts";

/** What certificates are for. */
type Role = CertificateRequest["role"];

/** The module that makes certificates, with a library that nothing else needs. */
const MAKER = "talk/cli/certificates/make_certificate";

/** Days that a certificate is valid, by default. */
const DAYS: Readonly<Record<Role, number>> = {
  ca: 3_650,
  server: 365,
  client: 365,
  // Its fingerprint is what others know it by.
  peer: 3_650,
};
const MAX_DAYS = 36_500;
const DAY = 86_400_000;
/** The longest common name that X.509 allows. */
const MAX_NAME = 64;
/** The name of an authority, by default. */
const AUTHORITY_NAME = "qtalk authority";

/** `qtalk cert`. */
export const cert = defineCommand({
  name: "cert",
  summary: "Makes certificates for experiments and small private networks",
  usage: [
    "cert ca --out DIR [--name NAME]",
    "cert server --out DIR --name HOST [--name HOST…]",
    "cert client --out DIR --name NAME",
    "cert peer --out DIR --name NAME",
  ],
  about:
    `"ca" makes an authority: ca.pem, which both sides get, and ca.key, which stays
where certificates are issued. "server" and "client" make server.pem and
server.key, or client.pem and client.key, issued by the authority in DIR or that
of --authority. HOST is a name or an address that clients dial; NAME is the name
by which a server knows a client. "peer" makes peer.pem and peer.key, which no
authority issues: others identify the peer by its fingerprint. Keys are readable
only by you (mode 0600). Existing files are never replaced.

  qtalk cert ca --out certs
  qtalk cert server --out certs --name example.com --name 127.0.0.1
  qtalk cert client --out certs/ann --authority certs --name Ann
  qtalk cert peer --out keys/bob --name bob`,
  options: {
    out: {
      type: "string",
      short: "o",
      value: "DIR",
      about: "where the files are written; it is made if it does not exist",
    },
    name: {
      type: "string",
      multiple: true,
      value: "NAME",
      about: "whose certificate it is; a server may have several",
    },
    days: {
      type: "string",
      value: "N",
      about: "until it expires (default 365; 3650 for ca and peer)",
    },
    authority: {
      type: "string",
      value: "DIR",
      about: "where ca.pem and ca.key are, if it is not that of --out",
    },
  },
  async run({ words, options, terminal }) {
    const [role, ...others] = words;
    if (!isRole(role) || others.length > 0) {
      throw new UsageError(
        "Cannot make a certificate: expected ca, server, client or peer",
      );
    }
    const { out } = options;
    if (out === undefined || out === "") {
      throw new UsageError("Cannot make a certificate without --out");
    }
    const names = namesFor(role, options.name ?? []);
    const days = count("days", options.days) ?? DAYS[role];
    if (days > MAX_DAYS) {
      throw new UsageError(
        `Cannot use --days: ${days} is more than ${MAX_DAYS}`,
      );
    }
    const signsItself = role === "ca" || role === "peer";
    if (signsItself && options.authority !== undefined) {
      throw new UsageError(
        role === "ca"
          ? "Cannot use --authority for an authority: it has no other one"
          : "Cannot use --authority for a peer: its fingerprint is what others trust",
      );
    }
    const place = options.authority ?? out;
    const authority = signsItself ? undefined : await readAuthority(place);
    const path = join(out, role);
    await checkAbsent(`${path}.key`);
    await checkAbsent(`${path}.pem`);
    const { makeCertificate } = await loadMaker();
    const until = new Date(Date.now() + days * DAY);
    const made = await makeCertificate({ role, names, until, authority })
      .catch((cause: unknown) => {
        if (!(cause instanceof AuthorityError)) throw cause;
        throw new UsageError(
          `Cannot use the authority in "${
            printableText(place)
          }": ${cause.message}`,
        );
      });
    await writeBoth(out, path, made);
    const day = made.until.toISOString().slice(0, 10);
    terminal.print(`${printableText(path)}.pem: until ${day}`);
    terminal.print(`${printableText(path)}.key: its key`);
    terminal.print(`fingerprint: ${made.fingerprint}`);
    return EXIT.ok;
  },
});

/** What {@linkcode loadMaker} loads. */
interface Maker {
  readonly makeCertificate: MakeCertificate;
}

/**
 * Loads the module that makes certificates, and with it a library of npm. The package
 * for npm does not install that library.
 *
 * @param load loads the module; tests bring their own
 * @throws {Error} if the library is not there
 */
export async function loadMaker(
  load: () => Promise<Maker> = () => import(moduleUrl(MAKER)),
): Promise<Maker> {
  try {
    return await load();
  } catch (cause) {
    const [reason] = (cause as Error).message.split("\n");
    throw new Error(
      `Cannot load the library that makes certificates: ${
        printableText(reason!)
      } (\`npm install @peculiar/x509 reflect-metadata\` adds it to a project of npm)`,
      { cause },
    );
  }
}

function isRole(word: string | undefined): word is Role {
  return word !== undefined && Object.hasOwn(DAYS, word);
}

function namesFor(
  role: Role,
  given: readonly string[],
): readonly [string, ...string[]] {
  const [first, ...rest] = role === "server" ? given.map(unbracketed) : given;
  if (first === undefined) {
    if (role === "ca") return [AUTHORITY_NAME];
    throw new UsageError(
      `Cannot make the certificate of a ${role} without --name`,
    );
  }
  if (role !== "server" && rest.length > 0) {
    throw new UsageError("Cannot use several --name: only a server has them");
  }
  for (const name of [first, ...rest]) {
    const problem = role === "server" ? problemWithHost(name) : undefined;
    const why = problem ?? problemWithName(name);
    if (why === undefined) continue;
    throw new UsageError(`Cannot use --name "${printableText(name)}": ${why}`);
  }
  return [first, ...rest];
}

/** An address of IPv6 without its brackets. */
function unbracketed(host: string): string {
  return host.replace(/^\[(.*)\]$/, "$1");
}

function problemWithHost(host: string): string | undefined {
  if (isIP(host) !== 0) return undefined;
  const label = "[a-z\\d_](?:[a-z\\d_-]{0,61}[a-z\\d_])?";
  const pattern = new RegExp(`^(?:\\*\\.)?${label}(?:\\.${label})*$`, "i");
  return pattern.test(host) && !/^[\d.]+$/.test(host)
    ? undefined
    : "it is neither the name of a host nor an IP address, without a scheme and a port";
}

function problemWithName(name: string): string | undefined {
  if (name.trim() === "") return "it is empty";
  if (printableText(name) !== name) return "it is not printable";
  return name.length > MAX_NAME
    ? `it has more than ${MAX_NAME} characters`
    : undefined;
}

async function readAuthority(place: string): Promise<Credentials> {
  const read = async (path: string) => {
    try {
      return await Deno.readTextFile(path);
    } catch (cause) {
      const { message } = cause as Error;
      throw new UsageError(
        `Cannot read the authority "${
          printableText(path)
        }": ${message}; \`qtalk cert ca\` makes one`,
        { cause },
      );
    }
  };
  return {
    cert: await read(join(place, "ca.pem")),
    key: await read(join(place, "ca.key")),
  };
}

/** Makes sure that nothing would be replaced. */
async function checkAbsent(path: string): Promise<void> {
  try {
    await Deno.lstat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw notWritten(path, error);
  }
  throw notWritten(path, new Deno.errors.AlreadyExists("it exists already"));
}

async function writeBoth(
  folder: string,
  path: string,
  { cert, key }: Credentials,
): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: true });
  } catch (cause) {
    throw notWritten(folder, cause);
  }
  const write = async (name: string, text: string, mode: number) => {
    try {
      await Deno.writeTextFile(name, text, { createNew: true, mode });
    } catch (cause) {
      throw notWritten(name, cause);
    }
  };
  await write(`${path}.key`, key, 0o600);
  try {
    await write(`${path}.pem`, cert, 0o644);
  } catch (error) {
    // A key without a certificate is of no use, and would be in the way.
    await Deno.remove(`${path}.key`);
    throw error;
  }
}

function notWritten(path: string, cause: unknown): UsageError {
  const { message } = cause as Error;
  return new UsageError(
    `Cannot write "${printableText(path)}": ${message}`,
    { cause },
  );
}
