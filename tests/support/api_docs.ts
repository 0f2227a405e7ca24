/**
 * Reads `deno doc --json`: the exported interfaces and their documentation.
 *
 * @module
 */

/** A property of an interface. */
export interface DocumentedProperty {
  readonly name: string;
  /** The text of its doc comment. */
  readonly doc: string;
}

/** An exported interface. */
export interface DocumentedInterface {
  readonly properties: readonly DocumentedProperty[];
  /** The names of the interfaces that it extends. */
  readonly bases: readonly string[];
}

/** The part of the output that is used. */
interface DenoDoc {
  nodes: Record<string, { symbols: DenoSymbol[] }>;
}

interface DenoSymbol {
  name: string;
  declarations: {
    kind: string;
    def: {
      extends?: { repr: string }[];
      properties?: { name: string; jsDoc?: { doc?: string } }[];
    };
  }[];
}

/** The interfaces that the entry points of the package export, by name. */
export async function exportedInterfaces(
  entryPoints: readonly string[],
): Promise<Map<string, DocumentedInterface>> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--json", ...entryPoints],
    cwd: new URL("../..", import.meta.url),
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  const { nodes } = JSON.parse(decoder.decode(stdout)) as DenoDoc;
  const interfaces = new Map<string, DocumentedInterface>();
  for (const { name, declarations } of symbolsOf(nodes)) {
    for (const { kind, def } of declarations) {
      if (kind !== "interface") continue;
      interfaces.set(name, {
        bases: (def.extends ?? []).map(({ repr }) => repr),
        properties: (def.properties ?? []).map(({ name, jsDoc }) => ({
          name,
          doc: (jsDoc?.doc ?? "").replaceAll(/\s+/g, " "),
        })),
      });
    }
  }
  return interfaces;
}

function symbolsOf(nodes: DenoDoc["nodes"]): DenoSymbol[] {
  return Object.values(nodes).flatMap(({ symbols }) => symbols);
}
