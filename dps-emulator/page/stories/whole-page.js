// What holds for every view: ten thousand devices, an emulator that starts again, hostile devices, keyboard, phone, axe.
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Device, Emulator } from './emulator.js';
import { Tab } from './tab.js';

const MANY = 10_000;
const VIEWS = [
  ['events'], ['devices'], ['devices', 'valve-1'], ['enrollments', 'individual'], ['enrollments', 'individual', 'valve-1'],
  ['enrollments', 'groups'], ['hubs'], ['hubs', 'hub-b.test', 'valve-1'], ['faults'], ['clock'], ['commands', 'individual', 'valve-1'], ['overview'],
];

/** The last of 10,000 devices is found by search and opened; the list has the number of all of them, and few rows. */
export async function tenThousandDevices({ many, browser }) {
  const tab = await Tab.open(browser, await many);
  const { page } = tab;
  await tab.go('devices');
  await page.getByText(`${MANY} devices`, { exact: true }).waitFor();
  assert.equal(await tab.rowCount(), MANY);
  assert.ok((await page.getByRole('row').count()) < 80, 'only visible rows exist');
  const frames = await scrollThrough(page);
  await page.getByRole('grid').press('End');
  const last = `device-${MANY - 1}`;
  await tab.sees(last, tab.grid());
  const index = await page.locator('.row', { hasText: last }).getAttribute('aria-rowindex');
  assert.equal(Number(index), MANY + 1);
  await page.getByLabel('Search devices, enrollments and hubs').fill(last.toUpperCase());
  await page.getByText('1 device found').waitFor();
  assert.equal(await tab.rowCount(), 1);
  await page.getByRole('grid').press('Enter');
  await page.getByRole('heading', { name: last, exact: true }).waitFor();
  await tab.check();
  await tab.close();
  return `frames while scrolling through ${MANY} devices: ${frames}`;
}

/** Scrolls from the top to the end in 120 frames; returns how long frames took. */
function scrollThrough(page) {
  return page.evaluate(async () => {
    const grid = document.querySelector('[role=grid]');
    const times = [];
    let before = performance.now();
    for (let step = 0; step < 120; step += 1) {
      grid.scrollTop = (step / 119) * grid.scrollHeight;
      const now = await new Promise((resolve) => requestAnimationFrame(resolve));
      times.push(now - before);
      before = now;
    }
    times.sort((one, other) => one - other);
    const at = (part) => times[Math.floor(part * (times.length - 1))].toFixed(1);
    return `median ${at(0.5)} ms, 95 % ${at(0.95)} ms, longest ${at(1)} ms`;
  });
}

/** An emulator with 10,000 enrollments, which are devices that have not registered. */
export async function startMany(program, folder) {
  const file = join(folder, 'many.toml');
  mkdirSync(folder, { recursive: true });
  const enrollments = Array.from({ length: MANY }, (_, index) => {
    return `[[enrollments]]\nregistrationId = "device-${String(index).padStart(4, '0')}"\n`;
  });
  writeFileSync(file, enrollments.join(''));
  return Emulator.start(program, folder, ['--config', file]);
}

/** The emulator is started again: the page says so, and goes on with a new link. */
export async function restarted({ program, folder, browser }) {
  const ports = await freePorts(2);
  const options = ['--https-port', String(ports[0]), '--ui-port', String(ports[1])];
  const first = await Emulator.start(program, folder, options);
  const tab = await Tab.open(browser, first);
  tab.isRestarting = true;
  await first.stop();
  await tab.sees('The emulator does not answer.');
  const second = await Emulator.start(program, folder, options);
  try {
    tab.emulator = second;
    await tab.sees('The emulator was started again, or the session has expired: open the page with a new link.');
    await tab.sees('dps emulator ui');
    await tab.page.evaluate((link) => { location.hash = new URL(link).hash; }, await second.newLink());
    await tab.page.getByText('connected', { exact: true }).waitFor();
    assert.equal(await tab.page.evaluate(() => location.hash), '');
    const key = await second.enroll('after-restart');
    assert.equal((await second.register('after-restart', key)).code, 0);
    await tab.sees('after-restart');
    await tab.check();
    // A link that was used opens nothing.
    const other = await Tab.open(browser, Object.assign(Object.create(second), { link: await second.newLink() }));
    await other.close();
    const used = await browser.newPage();
    await used.goto(second.link.replace(/#.*/, '#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'));
    await used.getByRole('alert').getByText('print another').waitFor();
    await used.close();
  } finally {
    await tab.close();
    await second.stop();
  }
}

async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, () => new Promise((resolve) => {
      const server = createServer().listen(0, '127.0.0.1', () => resolve(server));
    })),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** What a device sends is shown as text: no element is made of it, and no control character hides in it. */
export async function hostileDevice({ emulator, tab }) {
  const hostile = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>';
  await emulator.enroll('hostile');
  const device = new Device(emulator, 'hostile', hostile);
  await device.register({ [hostile]: `${hostile} \u202e\u0007` });
  await device.call('GET', `operations/${encodeURIComponent(hostile)}`);
  const event = await tab.openEvent('onerror', 'register: 202');
  await tab.sees(hostile, event);
  await tab.sees('\\u202e', event);
  assert.equal(await tab.page.title(), 'DPS emulator');
  assert.equal(await tab.page.locator('img, main script').count(), 0);
}

/** By the keyboard alone: to the list, along it, and into an event. */
export async function byKeyboard({ emulator, tab }) {
  const { page } = tab;
  await emulator.enroll('keyboard');
  await new Device(emulator, 'keyboard').register();
  await tab.go('events');
  await page.getByLabel('Search', { exact: true }).fill('');
  await page.locator('[aria-rowindex="3"]').waitFor();
  await page.getByRole('grid').focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('ArrowDown');
  const active = await page.getByRole('grid').getAttribute('aria-activedescendant');
  assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-rowindex'), '3');
  await page.keyboard.press('Enter');
  const event = page.locator('aside.exchange');
  await event.waitFor();
  assert.ok(await event.evaluate((element) => element.contains(document.activeElement)), 'the event has the focus');
  await page.evaluate(noteFocusAtClosing);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await event.waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => globalThis.focusAtClosing), 'grid');
}

/** In the page: the role of what has the focus as soon as the event is closed, so that no key of a quick user goes astray. */
function noteFocusAtClosing() {
  globalThis.focusAtClosing = new Promise((resolve) => {
    new MutationObserver((_, observer) => {
      if (document.querySelector('aside.exchange') !== null) return;
      observer.disconnect();
      resolve(document.activeElement.getAttribute('role'));
    }).observe(document.body, { childList: true, subtree: true });
  });
}

/** Every view on a phone's width, in light and in dark: nothing is wider than the screen, and axe finds nothing serious. */
export async function everyView({ emulator, browser, shot }) {
  for (const colorScheme of ['light', 'dark']) {
    const link = await emulator.newLink();
    // Only this one depends on the colors.
    const rules = colorScheme === 'dark' ? ['color-contrast'] : undefined;
    const tab = await Tab.open(browser, Object.assign(Object.create(emulator), { link }), { colorScheme });
    for (const view of VIEWS) {
      await tab.page.setViewportSize({ width: 1200, height: 760 });
      await tab.go(...view);
      await tab.page.getByRole('heading', { level: 1 }).waitFor();
      if (view.includes('valve-1')) await tab.page.getByRole('button').first().waitFor();
      assert.deepEqual(await tab.axe(rules), [], `${view.join('/')} in ${colorScheme}`);
      await tab.page.setViewportSize({ width: 360, height: 740 });
      const width = await tab.page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(width <= 360, `${view.join('/')} is ${width} pixels wide`);
    }
    await tab.openEvent('intermediate-missing');
    assert.deepEqual(await tab.axe(rules), [], `an event on a phone in ${colorScheme}`);
    if (colorScheme === 'dark') await shot('phone', tab);
    await tab.check();
    await tab.close();
  }
}
