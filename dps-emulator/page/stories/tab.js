// A tab of the browser with the page, which notes everything that the page must not do.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
/** How long a story waits for what must appear, in milliseconds, on a machine that is busy. */
const WAIT_MS = 30_000;

/** Starts the browser. */
export function launch(executablePath) {
  return chromium.launch({ executablePath, args: ['--disable-gpu'] });
}

/** The page of an emulator in a tab of its own. */
export class Tab {
  static async open(browser, emulator, { size = { width: 1200, height: 760 }, colorScheme = 'light' } = {}) {
    const tab = new Tab();
    const context = await browser.newContext({ viewport: size, colorScheme, permissions: ['clipboard-read', 'clipboard-write'] });
    context.setDefaultTimeout(WAIT_MS);
    Object.assign(tab, { emulator, context, faults: new Set(), replies: [], isRestarting: false });
    if (process.env.DIST !== undefined) {
      await context.route('**/assets/*', (route) => route.fulfill({ path: join(process.env.DIST, new URL(route.request().url()).pathname) }));
    }
    tab.page = await context.newPage();
    tab.#watch();
    await tab.page.goto(emulator.link);
    await tab.page.getByText('connected', { exact: true }).waitFor();
    return tab;
  }

  #watch() {
    const { page, faults } = this;
    page.on('pageerror', (error) => faults.add(`error in the page: ${error.message}`));
    page.on('console', (message) => {
      // The browser itself reports a lost connection and a refused call, which a story may provoke.
      const isProvoked = this.isRestarting && /ERR_|401/.test(message.text());
      if (message.type() === 'error' && !isProvoked) faults.add(`on the console: ${message.text()}`);
    });
    page.on('request', (request) => {
      const { origin, protocol } = new URL(request.url());
      if (origin !== this.emulator.origin && protocol !== 'data:') faults.add(`a request to ${request.url()}`);
    });
    page.on('response', (reply) => {
      const isStream = reply.url().includes('follow=true');
      if (reply.url().includes('/api/') && !isStream) this.replies.push({ url: reply.url(), text: within(reply.text(), reply.url()) });
    });
  }

  /** Shows a view. */
  async go(...parts) {
    await this.page.evaluate((hash) => { location.hash = hash; }, `#/${parts.map(encodeURIComponent).join('/')}`);
  }

  /** Waits until this text is shown, and returns its place. */
  async sees(text, within = this.page) {
    const place = within.getByText(text).first();
    await place.waitFor();
    return place;
  }

  /** The list that is shown, and its number of rows by ARIA, without the header. */
  grid() {
    return this.page.getByRole('grid');
  }

  async rowCount() {
    return Number(await this.grid().getAttribute('aria-rowcount')) - 1;
  }

  /** Searches the events, and opens the first whose row contains the text. */
  async openEvent(search, text = search) {
    await this.go('events');
    await this.page.getByLabel('Search', { exact: true }).fill(search);
    const row = this.page.locator('.row:not(.head)', { hasText: text }).first();
    await row.click();
    return this.page.locator('aside.exchange');
  }

  /** The text of the whole page, with that of fields. */
  text() {
    return this.page.evaluate(() => {
      const fields = [...document.querySelectorAll('input, textarea')].map((field) => field.value);
      return [document.body.textContent, ...fields, JSON.stringify(sessionStorage), JSON.stringify(localStorage)].join('\n');
    });
  }

  /** Throws if the page did what it must not do, or knows a key. */
  async check() {
    await this.hasNoKey();
    const faults = [...this.faults];
    this.faults.clear();
    if (faults.length > 0) throw new Error(faults.join('\n'));
  }

  /** Throws if the page shows a key, or an answer contained one; `asked` are those that the user asked for. */
  async hasNoKey(asked = []) {
    const secrets = this.emulator.secrets();
    const text = await this.text();
    if (secrets.some((secret) => text.includes(secret))) throw new Error('the page contains a key that nobody asked for');
    for (const { url, text: content } of this.replies) {
      const reply = await content;
      const found = secrets.find((secret) => reply.includes(secret) && !asked.includes(secret));
      if (found !== undefined && !url.includes('attestationmechanism')) throw new Error(`a key is in the answer to ${url}`);
    }
  }

  /** What axe finds that is serious or critical, by these of its rules or by all. */
  async axe(rules) {
    // By the debugger's protocol, which the content security policy does not restrict.
    if (!(await this.page.evaluate(() => 'axe' in globalThis))) await this.page.evaluate(AXE);
    const violations = await this.page.evaluate(async (rules) => {
      const only = rules === undefined ? {} : { runOnly: { type: 'rule', values: rules } };
      const result = await globalThis.axe.run({ ...only, resultTypes: ['violations'], elementRef: false });
      return result.violations.map(({ id, impact, nodes }) => ({ id, impact, html: nodes.map(({ html }) => html.slice(0, 160)) }));
    }, rules);
    const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return serious.map(({ id, html }) => `${id}: ${html.join(' | ')}`);
  }

  async close() {
    await this.context.close();
  }
}

/** The text of a reply; nothing if it was cut, such as by a restart. A reply that does not end is an error. */
function within(text, url) {
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`the answer to ${url} does not end`)), WAIT_MS); });
  late.catch(() => {});
  return Promise.race([text.catch(() => ''), late]).finally(() => clearTimeout(timer));
}
