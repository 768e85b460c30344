// One device: its registration, its entry in the hub, and its time line from the first connection to the hub.
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { CommandBlock } from './commands';
import { events, timeLine } from '../events';
import { useLater } from '../later';
import { getJson, problemOf, useLoaded } from '../loaded';
import { addressOf, go } from '../route';
import { send } from '../session';
import { useStore } from '../store';
import { date, json, printable, summary, timeOfDay, toneOf } from '../text';
import type { Device, Event, RegistrationState } from '../types';
import { Confirmed, Facts, Heading, Problem, Sent } from '../ui';
import { HubEntry } from './hub-entry';

const API = 'api-version=2021-10-01';

export function DeviceView({ rest }: ViewProps) {
  const id = rest[0] ?? '';
  const device = useMemo(() => getJson<Device>(`/api/devices/${encodeURIComponent(id)}`), [id]);
  const { value, problem } = useLoaded(device);
  const [failed, setFailed] = useState<string>();
  const { list } = useStore(events);
  const line = useMemo(() => timeLine(list, id), [list, id]);
  // What the device did changes its record.
  const lastSeq = useLater(line.at(-1)?.seq ?? 0, 200);
  useEffect(() => void (lastSeq > 0 && device.load()), [lastSeq]);
  const record = value?.record;
  const forget = () => {
    send('DELETE', `/api/registrations/${encodeURIComponent(id)}?${API}`).then(
      () => device.load(),
      (error) => setFailed(problemOf(error)),
    );
  };
  return (
    <section>
      <p><a href={addressOf('devices')}>All devices</a></p>
      <Heading><Sent text={id} /></Heading>
      <Problem message={failed ?? problem} />
      <div class="columns">
        <section>
          <h2>Registration</h2>
          {value && (record ? <Registration record={record} /> : <p>The device has not registered.</p>)}
          {value?.lastReason && <p class="bad">Its last call was refused: {value.lastReason}</p>}
          {value?.enrollment && <EnrollmentLink device={value} enrollment={value.enrollment} />}
          {record && (
            <Confirmed question="Delete the registration record? The device then registers as new." onConfirm={forget}>
              Delete the registration
            </Confirmed>
          )}
        </section>
        {(value?.hubDevices ?? []).map((entry) => (
          <section key={entry.hub}>
            <h2>In <Sent text={entry.hub} /></h2>
            <HubEntry hub={entry.hub} deviceId={entry.deviceId} onChange={() => void device.load()} />
          </section>
        ))}
        {value && <Counters counters={value.counters} />}
      </div>
      <h2>Time line</h2>
      <TimeLine line={line} />
      <h2>Commands</h2>
      {value && <Commands id={id} device={value} />}
    </section>
  );
}

function Commands({ id, device: { definition, enrollment } }: { id: string; device: Device }) {
  const attestation = definition?.attestation.type ?? 'symmetricKey';
  if (attestation !== 'symmetricKey') {
    return <p>Commands are shown for symmetric keys; this device is enrolled with {attestation}.</p>;
  }
  return <CommandBlock registrationId={id} groupId={enrollment?.kind === 'group' ? enrollment.id : ''} />;
}

function Registration({ record }: { record: RegistrationState }) {
  return (
    <>
      <Facts
        facts={[
          ['Status', record.status],
          ['Substatus', record.substatus],
          ['Hub', record.assignedHub],
          ['Device id', record.deviceId],
          ['Error', record.errorMessage],
          ['Created', date(record.createdDateTimeUtc)],
          ['Last change', date(record.lastUpdatedDateTimeUtc)],
        ]}
      />
      {record.payload !== undefined && <pre tabIndex={0}>{json(record.payload)}</pre>}
    </>
  );
}

type Enrolled = { device: Device; enrollment: NonNullable<Device['enrollment']> };

function EnrollmentLink({ device, enrollment: { kind, id } }: Enrolled) {
  const isDisabled = device.definition?.provisioningStatus === 'disabled';
  const address = addressOf('enrollments', kind === 'group' ? 'groups' : 'individual', id);
  return (
    <p>
      {kind === 'group' ? 'Enrollment group' : 'Individual enrollment'} <a href={address}>{printable(id)}</a>
      {isDisabled && <b class="bad"> (disabled)</b>}
    </p>
  );
}

function Counters({ counters }: { counters: Record<string, number> }) {
  const shown = Object.entries(counters).filter((entry) => typeof entry[1] === 'number');
  return (
    <section>
      <h2>Calls</h2>
      <Facts facts={shown.map(([name, count]) => [name, String(count)] as const)} />
    </section>
  );
}

function TimeLine({ line }: { line: Event[] }) {
  if (line.length === 0) return <p>Nothing has arrived from this device.</p>;
  const begin = Date.parse(line[0]?.timestampUtc ?? '');
  return (
    <ol class="time-line">
      {line.map((event) => (
        <li key={event.seq} class={toneOf(event)}>
          <time>{timeOfDay(event.timestampUtc)}</time>
          <span class="after">+{((Date.parse(event.timestampUtc) - begin) / 1000).toFixed(3)} s</span>
          <button type="button" class="link" onClick={() => go('events', String(event.seq))}>
            {event.transport} {summary(event)}
          </button>
          {event.reason !== undefined && <span class="why"><b>{event.reason}</b>: <Sent text={event.message} /></span>}
        </li>
      ))}
    </ol>
  );
}
