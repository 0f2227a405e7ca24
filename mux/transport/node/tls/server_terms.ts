import { TlsError } from "../../../errors.ts";
import type { TlsListenOptions } from "../../types.ts";
import { requiredModule } from "../builtin.ts";
import { certificateOf, problemOfTime } from "./certificate.ts";
import {
  optionError,
  type TlsModule,
  type TlsServer,
  type TlsSocket,
} from "./connection.ts";
import { credentialsOf, minVersionOf, pinsOf } from "./tls_options.ts";

/** The options of a server, checked, and what handshakes are made with. */
export class ServerTerms {
  /** The options. */
  readonly options: TlsListenOptions;
  readonly #clientCert: "none" | "optional" | "required";
  readonly #pins: readonly string[] | undefined;
  readonly #serverOptions: object;
  /** Servers of Node without a handshake: their events do not tell of which. */
  readonly #idle: TlsServer[] = [];

  /**
   * Checks the options, and reads their files.
   *
   * @throws {TypeError} if one of them is missing or not valid
   */
  constructor(protocol: string, options: TlsListenOptions | undefined) {
    if (options?.cert === undefined || options.key === undefined) {
      throw new TypeError('the options "tls.cert" and "tls.key" are missing');
    }
    const { clientCert = "none" } = options;
    if (!["none", "optional", "required"].includes(clientCert)) {
      throw new TypeError(
        `Cannot use option "tls.clientCert": "${clientCert}" is not "none", "optional" or "required"`,
      );
    }
    const trusted = [options.ca ?? [], options.pin ?? []].flat(2);
    if (clientCert !== "none" && trusted.length === 0) {
      // The runtime would trust every certificate of a public CA.
      throw new TypeError(
        'Cannot use option "tls.clientCert" without "tls.ca" or "tls.pin": no client would be trusted',
      );
    }
    if (options.clientCert === undefined && trusted.length > 0) {
      // A server that names trusted clients is not meant to accept all.
      throw new TypeError(
        'Cannot use option "tls.ca" or "tls.pin" without "tls.clientCert": no client would be asked for a certificate',
      );
    }
    this.options = options;
    this.#clientCert = clientCert;
    this.#pins = pinsOf(options.pin);
    this.#serverOptions = {
      ...credentialsOf(options),
      ALPNProtocols: [protocol],
      minVersion: minVersionOf(options.minVersion),
      allowHalfOpen: true,
      requestCert: clientCert !== "none",
      // See problemOf().
      rejectUnauthorized: false,
      handshakeTimeout: 2 ** 31 - 1,
    };
    // The first one finds out whether the options are valid.
    this.#idle.push(this.#newServer());
  }

  /** A server of Node for one handshake. */
  takeServer(): TlsServer {
    return this.#idle.pop() ?? this.#newServer();
  }

  /** Takes a server back when its handshake has succeeded. */
  giveBack(server: TlsServer): void {
    this.#idle.push(server);
  }

  /** What is wrong with a client; undefined if nothing is. */
  problemOf(client: TlsSocket): TlsError | undefined {
    if (this.#clientCert === "none") return undefined;
    const certificate = certificateOf(client.getPeerCertificate());
    if (certificate === undefined) {
      return this.#clientCert === "optional" ? undefined : new TlsError(
        "no-client-certificate",
        "the client has no certificate",
      );
    }
    const { fingerprint, subject } = certificate;
    if (this.#pins?.includes(fingerprint)) return undefined;
    if (this.options.ca !== undefined && client.authorized) return undefined;
    const why = problemOfTime(certificate)?.[1] ?? "is not trusted";
    return new TlsError(
      "wrong-client-certificate",
      `the client certificate ${why}: "${subject}" with the fingerprint "${fingerprint}"`,
    );
  }

  #newServer(): TlsServer {
    const { createServer } = requiredModule<TlsModule>("node:tls");
    try {
      return createServer(this.#serverOptions);
    } catch (error) {
      throw optionError(error);
    }
  }
}
