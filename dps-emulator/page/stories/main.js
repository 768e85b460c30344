// Runs the stories: real emulators, real devices, and the page in a headless Chromium.
//
// Environment: DPS_PROGRAM, CHROMIUM, FOLDER for files; if they exist, DPS_LIBRARY and DPS_INCLUDE (C), DPS_PYTHON and the folder of its
// packages, DPS_PYTHON_PACKAGES (Python);
// SCREENSHOTS, a directory, to write those of the documents; ONLY, a part of the names of stories; DIST, a build result to use
// instead of the embedded one, while the page is worked on.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Emulator } from './emulator.js';
import { OWNER } from './owner.js';
import { REFUSALS } from './refusals.js';
import { launch, Tab } from './tab.js';
import { byKeyboard, everyView, hostileDevice, restarted, startMany, tenThousandDevices } from './whole-page.js';

const { DPS_PROGRAM: program, CHROMIUM, FOLDER, SCREENSHOTS, ONLY = '' } = process.env;
const tools = { library: process.env.DPS_LIBRARY, include: process.env.DPS_INCLUDE, python: process.env.DPS_PYTHON, packages: process.env.DPS_PYTHON_PACKAGES };

async function screenshot(name, { page }) {
  if (SCREENSHOTS === undefined) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  writeFileSync(join(SCREENSHOTS, `${name}.png`), await page.screenshot());
}

async function all() {
  rmSync(FOLDER, { recursive: true, force: true });
  mkdirSync(FOLDER, { recursive: true });
  const config = join(FOLDER, 'emulator.toml');
  writeFileSync(config, '[[hubs]]\nname = "hub-a.test"\n[[hubs]]\nname = "hub-b.test"\n');
  // It starts meanwhile; only one story needs it.
  const many = startMany(program, join(FOLDER, 'many'));
  many.catch(() => {});
  const [browser, emulator] = await Promise.all([
    launch(CHROMIUM),
    Emulator.start(program, join(FOLDER, 'main'), ['--config', config]),
  ]);
  const failed = [];
  try {
    const tab = await Tab.open(browser, emulator);
    const shot = (name, of = tab) => screenshot(name, of);
    const given = { program, folder: join(FOLDER, 'restarted'), browser, emulator, many, tab, tools, shot };
    const stories = { ...REFUSALS, ...OWNER, tenThousandDevices, hostileDevice, byKeyboard, restarted, everyView };
    for (const [name, story] of Object.entries(stories).filter(([name]) => name.includes(ONLY))) {
      const start = performance.now();
      try {
        const note = await story(given);
        await tab.check();
        console.log(`${name}: ${((performance.now() - start) / 1000).toFixed(1)} s${note === undefined ? '' : `; ${note}`}`);
      } catch (error) {
        failed.push(name);
        console.error(`${name} FAILED: ${error instanceof Error ? error.stack : error}`);
        await tab.page.screenshot({ path: join(FOLDER, `${name}-failed.png`) });
        tab.faults.clear();
      }
    }
  } finally {
    await browser.close();
    await Promise.all([emulator.stop(), many.then((started) => started.stop(), () => {})]);
  }
  if (failed.length > 0) console.error(`${failed.length} failed: ${failed.join(', ')}`);
  process.exitCode = failed.length > 0 ? 1 : 0;
}

await all();
