/**
 * The one form of a selector that routing compares: `foo.bar`, `/foo/bar` and
 * `foo/bar` are `/foo/bar` (rpc/SPEC.md, "Selectors").
 */
export function cleanSelector(selector: string): string {
  if (selector === "") return "/";
  const rooted = selector.charCodeAt(0) === 0x2f ? selector : `/${selector}`;
  return rooted.includes(".") ? rooted.replaceAll(".", "/") : rooted;
}
