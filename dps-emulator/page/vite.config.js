// One script and one style sheet with fixed names, which the emulator embeds. Nothing is inlined: the page is served under
// the content security policy `default-src 'self'`.
import { readFileSync } from 'node:fs';
import { defineConfig } from 'vite';

/** The module `virtual:reasons`: what to do about each reason, from the table of docs/events.md. */
const reasons = {
  name: 'reasons',
  resolveId: (id) => (id === 'virtual:reasons' ? '\0reasons' : null),
  load(id) {
    if (id !== '\0reasons') return null;
    const document = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8');
    const rows = [...document.matchAll(/^\| `([a-z0-9-]+)` \| .* \| (.*) \|$/gm)];
    if (rows.length === 0) throw new Error('docs/events.md has no table of reasons');
    const advice = Object.fromEntries(rows.map(([, reason, text]) => [reason, text.replaceAll('`', '')]));
    return `export default ${JSON.stringify(advice)}`;
  },
};

/** The license of what is in the script besides this project's own. */
const license = readFileSync(new URL('node_modules/preact/LICENSE', import.meta.url), 'utf8').trim();

export default defineConfig({
  plugins: [reasons],
  build: {
    target: 'es2022',
    assetsInlineLimit: 0,
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: false,
        postBanner: `/*! Contains Preact:\n${license}\n*/`,
        entryFileNames: 'assets/app.js',
        assetFileNames: 'assets/app[extname]',
      },
    },
  },
});
