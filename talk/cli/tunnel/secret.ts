/**
 * Whether what a peer sent is the secret. The time that it takes says nothing about
 * the secret: two digests are compared, all of their bytes.
 */
export async function isSecret(
  given: unknown,
  secret: string,
): Promise<boolean> {
  if (typeof given !== "string") return false;
  const [a, b] = await Promise.all([digestOf(given), digestOf(secret)]);
  let difference = 0;
  for (let i = 0; i < b.length; i++) difference |= a[i]! ^ b[i]!;
  return difference === 0;
}

async function digestOf(text: string): Promise<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}
