// A list of devices of any length, of which only the parts that are looked at are read.
import { problemOf } from './loaded';
import { sendForJson } from './session';
import { Store } from './store';

const PAGE = 100;

interface Part<T> {
  total: number;
  devices: T[];
}

/** A list at the emulator that is read in pages as it is scrolled, for one search. */
export class PagedList<T> extends Store<{ total: number; problem?: string }> {
  readonly #path: string;
  readonly #search: string;
  #pages = new Map<number, T[]>();
  /** Pages that are shown as they were until they have been read again. */
  #stale = new Set<number>();
  #visible: [first: number, last: number] = [0, 0];
  #isReading = false;

  constructor(path: string, search: string) {
    super({ total: 0 });
    this.#path = path;
    this.#search = search;
    void this.#readVisible();
  }

  /** The row at an index; undefined while it is read. */
  at(index: number): T | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  /** Reads what is visible and not read yet. */
  show(first: number, last: number): void {
    this.#visible = [first, last];
    void this.#readVisible();
  }

  /** Reads what is visible again; other pages are read again when they are scrolled to. */
  refresh(): void {
    this.#stale = new Set(this.#pages.keys());
    void this.#readVisible();
  }

  /** One page after the other, so that those that were scrolled past are not waited for. */
  async #readVisible(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      for (let page = this.#wanted(); page !== undefined; page = this.#wanted()) await this.#read(page);
    } catch (error) {
      this.set({ ...this.value, problem: problemOf(error) });
    } finally {
      this.#isReading = false;
    }
  }

  /** The first visible page that is missing or stale. */
  #wanted(): number | undefined {
    const [first, last] = this.#visible;
    for (let page = Math.floor(first / PAGE); page <= Math.max(0, Math.floor(last / PAGE)); page += 1) {
      if (!this.#pages.has(page) || this.#stale.has(page)) return page;
    }
    return undefined;
  }

  async #read(page: number): Promise<void> {
    const query = new URLSearchParams({ search: this.#search, offset: String(page * PAGE), limit: String(PAGE) });
    this.#stale.delete(page);
    const { total, devices } = await sendForJson<Part<T>>('GET', `${this.#path}?${query}`);
    this.#pages.set(page, devices);
    this.set({ total });
  }
}
