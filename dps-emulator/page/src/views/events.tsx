// The live list of events, newest first, and the one that is open beside it.
import { useMemo, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { events, matches } from '../events';
import { addressOf, go } from '../route';
import { useStore } from '../store';
import { summary, timeOfDay, toneOf } from '../text';
import type { Event } from '../types';
import { Heading, SelectField, Sent, TextField, useFocusBack } from '../ui';
import { VirtualList, type Row } from '../virtual-list';
import { Exchange } from './exchange';

const KINDS = [
  ['', 'All kinds'],
  ['refusal', 'Refusals'],
  ['exchange', 'Exchanges'],
  ['connection', 'Connections'],
  ['disconnection', 'Disconnections'],
  ['hub-sign-in', 'Hub sign-ins'],
  ['fault', 'Faults'],
  ['webhook', 'Webhooks'],
] as const;

const TRANSPORTS = [
  ['', 'All transports'],
  ['https', 'HTTPS'],
  ['mqtt', 'MQTT'],
  ['mqtt-ws', 'MQTT over WebSocket'],
  ['webhook', 'Webhook'],
] as const;

export function EventsView({ rest }: ViewProps) {
  const { list, missed } = useStore(events);
  const [search, setSearch] = useState('');
  const [kind, setKind] = useState('');
  const [transport, setTransport] = useState('');
  const text = search.trim().toLowerCase();
  const isShown = (event: Event) =>
    (kind === '' || event.kind === kind) && (transport === '' || event.transport === transport) && matches(event, text);
  const shown = useMemo(() => list.filter(isShown), [list, text, kind, transport]);
  const seq = Number(rest[0]);
  const open = list.find((event) => event.seq === seq);
  useFocusBack(open !== undefined);
  const at = (index: number) => shown[shown.length - 1 - index];
  return (
    <div class={open ? 'split' : ''}>
      <section class="wide-list">
        <Heading>Events</Heading>
        <div class="filters" role="search">
          <TextField label="Search" type="search" value={search} onInput={setSearch} />
          <SelectField label="Kind" value={kind} options={KINDS} onChange={setKind} />
          <SelectField label="Transport" value={transport} options={TRANSPORTS} onChange={setTransport} />
        </div>
        <p class="hint" role="status">
          {shown.length === list.length ? `${list.length} events` : `${shown.length} of ${list.length} events`}
          {missed > 0 && `, ${missed} missed`}
        </p>
        <VirtualList
          label="Events, newest first"
          columns="event-rows"
          headers={['Time', 'Transport', 'Device', 'What happened', 'Reason']}
          count={shown.length}
          row={(index) => rowOf(at(index))}
          onOpen={(index) => { const event = at(index); if (event) go('events', String(event.seq)); }}
          growsAtTop={`${text} ${kind} ${transport}`}
          {...(open ? { open: open.seq } : {})}
        />
      </section>
      {open && <Exchange event={open} key={open.seq} />}
      {rest[0] !== undefined && !open && (
        <p class="hint">The event {rest[0]} is not kept any more. <a href={addressOf('events')}>All events</a></p>
      )}
    </div>
  );
}

function rowOf(event: Event | undefined): Row | undefined {
  if (!event) return undefined;
  const connection = event.connection ? `#${event.connection.id}` : '';
  return {
    key: event.seq,
    tone: toneOf(event),
    cells: [
      <time>{timeOfDay(event.timestampUtc)}</time>,
      `${event.transport}${connection}`,
      <Sent text={event.registrationId ?? event.deviceId} />,
      summary(event),
      event.reason ? <span><b>{event.reason}</b> <Sent text={event.message} /></span> : '',
    ],
  };
}
