// What the emulator answered to a GET, and whether it is still being read.
import { useEffect } from 'preact/hooks';
import { CallError, sendForJson } from './session';
import { Store, useStore } from './store';

export interface State<T> {
  value?: T;
  problem?: string;
}

/** The answer to one call, which can be read again. */
export class Loaded<T> extends Store<State<T>> {
  readonly #read: () => Promise<T>;
  #latest = 0;

  constructor(read: () => Promise<T>) {
    super({});
    this.#read = read;
  }

  /** Keeps the earlier value until the new one has arrived; the answer to an earlier call never replaces a later one. */
  async load(): Promise<void> {
    this.#latest += 1;
    const mine = this.#latest;
    try {
      const value = await this.#read();
      if (mine === this.#latest) this.set({ value });
    } catch (error) {
      if (mine === this.#latest) this.set({ ...this.value, problem: problemOf(error) });
    }
  }
}

export function getJson<T>(path: string): Loaded<T> {
  return new Loaded(() => sendForJson<T>('GET', path));
}

/** The answer, read when the component appears. */
export function useLoaded<T>(loaded: Loaded<T>): State<T> {
  useEffect(() => void loaded.load(), [loaded]);
  return useStore(loaded);
}

/** What to show of a call that failed. */
export function problemOf(error: unknown): string {
  if (error instanceof CallError) return error.message;
  return 'The emulator does not answer.';
}
