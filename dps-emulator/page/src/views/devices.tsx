// Every device that has registered, by registration id.
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { PagedList } from '../paged-list';
import { events } from '../events';
import { go } from '../route';
import { useStore } from '../store';
import { date } from '../text';
import type { DeviceRow } from '../types';
import { Heading, Problem, Sent, TextField } from '../ui';
import { useLater } from '../later';
import { VirtualList, type Row } from '../virtual-list';

export function DevicesView(_: ViewProps) {
  const [search, setSearch] = useState('');
  const settled = useLater(search.trim());
  const list = useMemo(() => new PagedList<DeviceRow>('/api/devices', settled), [settled]);
  const { total, problem } = useStore(list);
  const lastSeq = useLater(useStore(events).list.at(-1)?.seq ?? 0, 500);
  useEffect(() => list.refresh(), [lastSeq]);
  return (
    <section class="wide-list">
      <Heading>Devices</Heading>
      <div class="filters" role="search">
        <TextField label="Search devices, enrollments and hubs" type="search" value={search} onInput={setSearch} />
      </div>
      <p class="hint" role="status">{total} {total === 1 ? 'device' : 'devices'}{settled !== '' && ' found'}</p>
      <Problem message={problem} />
      <VirtualList
        label="Devices"
        columns="device-rows"
        headers={['Registration id', 'Enrollment', 'Status', 'Hub', 'Last change']}
        count={total}
        row={(index) => rowOf(list.at(index))}
        onRange={(first, last) => list.show(first, last)}
        onOpen={(index) => { const device = list.at(index); if (device) go('devices', device.registrationId); }}
      />
    </section>
  );
}

function rowOf(device: DeviceRow | undefined): Row | undefined {
  if (!device) return undefined;
  const { enrollment, status, lastReason } = device;
  const isRefused = lastReason !== null || status === 'failed' || status === 'disabled';
  return {
    key: device.registrationId,
    tone: isRefused ? 'bad' : status === 'assigned' ? 'good' : 'plain',
    cells: [
      <Sent text={device.registrationId} />,
      enrollment === null ? '' : enrollment.kind === 'group' ? <span>group <Sent text={enrollment.id} /></span> : 'individual',
      [status ?? 'not registered', lastReason].filter((text) => text !== null).join(', '),
      <Sent text={device.assignedHub ?? ''} />,
      device.lastUpdated === null ? '' : date(device.lastUpdated),
    ],
  };
}
