// The session: a link's code is exchanged for a token, and every call carries the token.
//
// The token is in `sessionStorage` and not in a cookie: cookies of a host are sent to all of its ports.
import { Store } from './store';

/** Whether the page can call the emulator, and if not, why. */
export type Session =
  | { state: 'starting' }
  | { state: 'open' }
  /** The page was opened without a link, or with one that is used up. */
  | { state: 'closed'; message: string }
  /** The emulator does not know the session: it was started again, or the session expired. */
  | { state: 'ended' }
  /** The emulator does not answer. */
  | { state: 'unreachable' };

/** What the emulator answered to a call that failed. */
export class CallError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

export const session = new Store<Session>({ state: 'starting' });

const KEY = 'dps-session';
const CODE = /^#([A-Za-z0-9_-]{16,})$/;
const RETRY_MS = 2000;

let token = sessionStorage.getItem(KEY);
let retry: ReturnType<typeof setTimeout> | undefined;

/** Opens the session: by the code in the address bar if there is one, or by the token of this tab. */
export async function open(): Promise<void> {
  const code = CODE.exec(location.hash)?.[1];
  if (code !== undefined) {
    // Neither the history nor a screenshot of the address bar keeps it.
    history.replaceState(null, '', location.pathname);
    await exchange(code);
  } else if (token === null) {
    session.set({ state: 'closed', message: 'This page opens by a link that works once.' });
  } else {
    await check();
  }
}

async function exchange(code: string): Promise<void> {
  clearTimeout(retry);
  try {
    const call = { body: { code }, withToken: false };
    const { token: given } = await sendForJson<{ token: string }>('POST', '/session', call);
    token = given;
    sessionStorage.setItem(KEY, given);
    session.set({ state: 'open' });
  } catch (error) {
    if (error instanceof CallError) {
      forget();
      session.set({ state: 'closed', message: error.message });
    }
  }
}

/** Finds out whether the emulator still knows the session. */
export async function check(): Promise<void> {
  try {
    await send('GET', '/api/overview');
    session.set({ state: 'open' });
  } catch {
    // the call has set the state.
  }
}

function forget(): void {
  token = null;
  sessionStorage.removeItem(KEY);
}

/** What a call has besides method and path. */
export interface Call {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  withToken?: boolean;
}

/** A reply that is a success. */
export interface Reply {
  headers: Headers;
  text: string;
}

/** Makes a call, and returns the reply if it is a success. */
export async function send(method: string, path: string, call: Call = {}): Promise<Reply> {
  const reply = await request(method, path, call);
  return { headers: reply.headers, text: await reply.text() };
}

/** Makes a call whose reply is JSON. */
export async function sendForJson<T>(method: string, path: string, call: Call = {}): Promise<T> {
  return JSON.parse((await send(method, path, call)).text) as T;
}

/** Makes a call whose reply does not end, until the signal is aborted. */
export async function openStream(path: string, signal: AbortSignal): Promise<ReadableStream<Uint8Array> | null> {
  return (await request('GET', path, { signal })).body;
}

async function request(method: string, path: string, call: Call): Promise<Response> {
  const headers: Record<string, string> = { ...call.headers };
  const hasToken = call.withToken !== false && token !== null;
  if (hasToken) headers['Authorization'] = `Bearer ${token}`;
  const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error' };
  if (method !== 'GET') {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(call.body ?? {});
  }
  if (call.signal) init.signal = call.signal;
  let reply: Response;
  try {
    reply = await fetch(path, init);
  } catch (error) {
    if (!call.signal?.aborted) lost();
    throw error;
  }
  if (reply.ok) return reply;
  if (reply.status === 401 && hasToken) {
    forget();
    session.set({ state: 'ended' });
  }
  throw new CallError(reply.status, await messageOf(reply));
}

/** The connection failed: tries again until the emulator answers. */
function lost(): void {
  clearTimeout(retry);
  if (token === null) {
    session.set({ state: 'closed', message: 'The emulator does not answer.' });
    return;
  }
  session.set({ state: 'unreachable' });
  retry = setTimeout(() => void check(), RETRY_MS);
}

async function messageOf(reply: Response): Promise<string> {
  const text = await reply.text().catch(() => '');
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return message;
  } catch {
    // Not JSON: the status alone.
  }
  return `The emulator answered with status ${reply.status}.`;
}
