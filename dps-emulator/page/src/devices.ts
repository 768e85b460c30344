// The devices that have registered: of a list of any length, the parts that are looked at.
import { problemOf } from './loaded';
import { send } from './session';
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
  #pages = new Map<number, T[] | 'asked'>();
  #visible: [first: number, last: number] = [0, 0];

  constructor(path: string, search: string) {
    super({ total: 0 });
    this.#path = path;
    this.#search = search;
    void this.#read(0);
  }

  /** The row at an index; undefined while it is read. */
  at(index: number): T | undefined {
    const page = this.#pages.get(Math.floor(index / PAGE));
    return Array.isArray(page) ? page[index % PAGE] : undefined;
  }

  /** Reads what is visible and not read yet. */
  show(first: number, last: number): void {
    this.#visible = [first, last];
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) {
      if (!this.#pages.has(page)) void this.#read(page);
    }
  }

  /** Reads again what is visible; other pages are read when they are scrolled to. */
  refresh(): void {
    const [first, last] = this.#visible;
    const shown = (page: number) => page >= Math.floor(first / PAGE) && page <= Math.floor(last / PAGE);
    for (const page of [...this.#pages.keys()]) {
      if (!shown(page)) this.#pages.delete(page);
    }
    for (let page = Math.floor(first / PAGE); page <= Math.floor(last / PAGE); page += 1) void this.#read(page);
  }

  async #read(page: number): Promise<void> {
    if (!this.#pages.has(page)) this.#pages.set(page, 'asked');
    const query = new URLSearchParams({ search: this.#search, offset: String(page * PAGE), limit: String(PAGE) });
    try {
      const reply = await send('GET', `${this.#path}?${query}`, {});
      const { total, devices } = (await reply.json()) as Part<T>;
      this.#pages.set(page, devices);
      this.set({ total });
    } catch (error) {
      if (this.#pages.get(page) === 'asked') this.#pages.delete(page);
      this.set({ ...this.value, problem: problemOf(error) });
    }
  }
}
