import { assertEquals } from "@std/assert";
import { cleanSelector } from "./selector.ts";

Deno.test("cleanSelector(): selectors with dots and with slashes have the same canonical form", () => {
  const forms: [string, string][] = [
    ["", "/"],
    ["/", "/"],
    [".", "//"],
    ["foo", "/foo"],
    ["/foo", "/foo"],
    ["foo.bar", "/foo/bar"],
    ["foo/bar", "/foo/bar"],
    ["/foo/bar", "/foo/bar"],
    ["/foo.bar", "/foo/bar"],
    ["foo.", "/foo/"],
    ["foo/", "/foo/"],
    ["a.b.c/d.e", "/a/b/c/d/e"],
    ["a..b", "/a//b"],
    ["ä.😀", "/ä/😀"],
    ["a b", "/a b"],
  ];
  for (const [written, clean] of forms) {
    assertEquals(cleanSelector(written), clean, written);
    assertEquals(cleanSelector(clean), clean, `${written}, cleaned twice`);
  }
});
