// What `deno run` costs by itself.
