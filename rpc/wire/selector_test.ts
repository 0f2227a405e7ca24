import { assertEquals } from "@std/assert";
import { cleanSelector, hasEmptySegment } from "./selector.ts";

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

Deno.test("hasEmptySegment(): two separators in a row make an empty segment, one at the end does not", () => {
  for (const selector of ["", "/", "foo", "foo/", "foo.", "a.b/c", "/_q/x"]) {
    assertEquals(hasEmptySegment(cleanSelector(selector)), false, selector);
  }
  for (
    const selector of [
      ".",
      "..",
      "//",
      "/.",
      ".foo",
      "./foo",
      "//foo",
      "foo..",
      "foo//",
      "foo./",
      "a..b",
      "a//b",
      "a./b",
      "a/./b",
      "a/../b",
    ]
  ) assertEquals(hasEmptySegment(cleanSelector(selector)), true, selector);
});
