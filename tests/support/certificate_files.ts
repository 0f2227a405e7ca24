import type { Credentials } from "./certificates.ts";
import { temporaryFolder } from "./temporary_folder.ts";

/** What the files have, as PEM text. */
type CertificateAndKey = Pick<Credentials, "cert" | "key">;

/** Files with a certificate and its key, in a folder that is removed in the end. */
export async function certificateFiles(first: CertificateAndKey) {
  const folder = await temporaryFolder();
  const files = {
    cert: `${folder.path}/cert.pem`,
    key: `${folder.path}/key.pem`,
  };
  /** Writes them, or others in their place. */
  const write = async ({ cert, key }: CertificateAndKey) => {
    await Deno.writeTextFile(files.cert, cert);
    await Deno.writeTextFile(files.key, key);
  };
  await write(first);
  return {
    folder: folder.path,
    files,
    write,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
