// Which view is shown: the fragment of the address, such as `#/devices/dev-01`. Links and the Back button work.
import { Store } from './store';

/** The parts of the path, decoded; never empty. */
export type Route = readonly [string, ...string[]];

export const route = new Store<Route>(read());

function read(): Route {
  const [view = '', ...rest] = location.hash.replace(/^#\/?/, '').split('/').map(decode);
  return [view === '' || !location.hash.startsWith('#/') ? 'events' : view, ...rest];
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Reads the address again after it was changed. */
export function readRoute(): void {
  route.set(read());
}

/** The address of a view of this page. */
export function addressOf(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

export function go(...parts: string[]): void {
  location.hash = addressOf(...parts);
}
