// The events of the emulator, as they happen: the latest 10,000, which is as many as the emulator keeps.
import { openStream, session } from './session';
import { Store } from './store';
import { readMessages, type Message } from './stream';
import type { Event } from './types';

const KEPT = 10_000;
/** How long events are gathered before they are shown, so that a burst is rendered once. */
const GATHER_MS = 80;
const RETRY_MS = 500;

/** The events that are kept, oldest first, and how many were missed. */
export interface Events {
  list: readonly Event[];
  missed: number;
}

export const events = new Store<Events>({ list: [], missed: 0 });

let gathered: Event[] = [];
let missed = 0;
let timer: ReturnType<typeof setTimeout> | undefined;
let stop: AbortController | undefined;

/** Begins with the events that the emulator keeps, and goes on until the session ends. */
export function followEvents(): void {
  stop?.abort();
  const mine = new AbortController();
  stop = mine;
  clear();
  void follow(mine);
}

function clear(): void {
  clearTimeout(timer);
  timer = undefined;
  gathered = [];
  missed = 0;
  events.set({ list: [], missed: 0 });
}

async function follow(mine: AbortController): Promise<void> {
  while (!mine.signal.aborted && session.value.state === 'open') {
    try {
      const path = `/api/emulator/events?follow=true&after=${lastSeq()}`;
      const body = await openStream(path, mine.signal);
      if (body) await readMessages(body, (messages) => receive(messages, mine));
    } catch {
      // The stream was cut, or the call failed: asked again, unless the session is over by then.
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
  if (stop === mine) stop = undefined;
}

function lastSeq(): number {
  return (gathered.at(-1) ?? events.value.list.at(-1))?.seq ?? 0;
}

function receive(messages: Message[], mine: AbortController): void {
  if (mine.signal.aborted) return;
  for (const { event, data } of messages) {
    if (event === 'dropped') missed += (JSON.parse(data) as { dropped: number }).dropped;
    else gathered.push(JSON.parse(data) as Event);
  }
  timer ??= setTimeout(show, GATHER_MS);
}

function show(): void {
  timer = undefined;
  const list = [...events.value.list, ...gathered].slice(-KEPT);
  gathered = [];
  events.set({ list, missed });
}

/** The events of a device: those with its registration id, and those of its connections before it named itself. */
export function timeLine(list: readonly Event[], registrationId: string): Event[] {
  const wanted = registrationId.toLowerCase();
  const isOf = (event: Event) => event.registrationId?.toLowerCase() === wanted;
  const connections = new Set(list.filter(isOf).map((event) => event.connection?.id));
  connections.delete(undefined);
  return list.filter(
    (event) => isOf(event) || (event.registrationId === undefined && connections.has(event.connection?.id)),
  );
}

const found = new WeakMap<Event, string>();

/** Whether a member that is shown contains the text, which is in lower case. */
export function matches(event: Event, text: string): boolean {
  if (text === '') return true;
  let searched = found.get(event);
  if (searched === undefined) {
    const members = [
      event.registrationId, event.call, event.reason, event.message, event.status, event.code, event.clientId,
      event.userAgent, event.transport, event.kind, event.hub, event.deviceId, event.fault, event.trackingId,
      event.operationId, event.token?.keyOf, event.token?.signedBy, event.missingIssuer, event.connection?.peer,
    ];
    searched = members.filter((member) => member !== undefined).join('\n').toLowerCase();
    found.set(event, searched);
  }
  return searched.includes(text);
}
