// Bundles page.mjs with each bundler, and worker.mjs and ws_client.ts with esbuild, into
// out/.

// Only the folder that this is copied to has them.
const [vite, esbuild, { default: webpack }] = await Promise.all(
  ["vite", "esbuild", "webpack"].map((name) => import(name)),
);

const page = "page.mjs";

async function withVite() {
  await vite.build({
    configFile: false,
    logLevel: "warn",
    build: {
      target: "es2022",
      outDir: "out/vite",
      rolldownOptions: {
        input: page,
        output: { entryFileNames: "page.js" },
      },
    },
  });
}

async function withEsbuild() {
  const options = { bundle: true, format: "esm", logLevel: "warning" };
  await esbuild.build({
    ...options,
    entryPoints: [page],
    splitting: true,
    outdir: "out/esbuild",
  });
  await esbuild.build({
    ...options,
    entryPoints: ["worker.mjs"],
    outfile: "out/worker/worker.mjs",
  });
  await esbuild.build({
    ...options,
    entryPoints: ["ws_client.ts"],
    splitting: true,
    minify: true,
    outdir: "out/client",
  });
}

async function withWebpack() {
  const stats = await new Promise((resolve, reject) => {
    webpack({
      // As for production, but for the minifier, which takes seconds.
      mode: "production",
      optimization: { minimize: false },
      // Hints about sizes are for the minified.
      performance: false,
      entry: `./${page}`,
      output: {
        path: `${import.meta.dirname}/out/webpack`,
        filename: "page.js",
        publicPath: "/webpack/",
      },
    }, (error, stats) => error ? reject(error) : resolve(stats));
  });
  if (stats.hasErrors() || stats.hasWarnings()) {
    throw new Error(stats.toString());
  }
}

await withVite();
await withEsbuild();
await withWebpack();
