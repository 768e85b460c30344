// The linked hubs, the devices of each, and the entry that is open.
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { PagedList } from '../paged-list';
import { events } from '../events';
import { useLater } from '../later';
import { getJson, useLoaded } from '../loaded';
import { addressOf, go } from '../route';
import { useStore } from '../store';
import type { Hub } from '../types';
import { Heading, PanelTitle, Problem, Sent, TextField, useFocusBack } from '../ui';
import { VirtualList } from '../virtual-list';
import { HubEntry } from './hub-entry';

/** A device in the list of a hub. */
interface Entry {
  deviceId: string;
  state: string;
}

const hubs = getJson<{ hubs: Hub[] }>('/api/emulator/hubs');

export function HubsView({ rest }: ViewProps) {
  const { value, problem } = useLoaded(hubs);
  const hub = rest[0] ?? value?.hubs[0]?.name;
  useFocusBack(rest[1] !== undefined);
  return (
    <div class={rest[1] === undefined ? '' : 'split'}>
      <section class="wide-list">
        <Heading>Hubs</Heading>
        <Problem message={problem} />
        <nav class="tabs" aria-label="Linked hubs">
          {(value?.hubs ?? []).map(({ name, weight, devices }) => (
            <a key={name} href={addressOf('hubs', name)} {...(name === hub ? { 'aria-current': 'page' } : {})}>
              <Sent text={name} /> <small>{weight === null ? 'not linked' : `weight ${weight}`}, {devices} {devices === 1 ? 'device' : 'devices'}</small>
            </a>
          ))}
        </nav>
        {hub !== undefined && <Devices key={hub} hub={hub} {...(rest[1] === undefined ? {} : { open: rest[1] })} />}
      </section>
      {hub !== undefined && rest[1] !== undefined && (
        <aside aria-label={rest[1]} key={`${hub} ${rest[1]}`}>
          <PanelTitle onClose={() => go('hubs', hub)}><Sent text={rest[1]} /></PanelTitle>
          <HubEntry hub={hub} deviceId={rest[1]} onChange={() => void hubs.load()} />
        </aside>
      )}
    </div>
  );
}

function Devices({ hub, open }: { hub: string; open?: string }) {
  const [search, setSearch] = useState('');
  const settled = useLater(search.trim());
  const path = `/api/emulator/hubs/${encodeURIComponent(hub)}/devices`;
  const list = useMemo(() => new PagedList<Entry>(path, settled), [path, settled]);
  const { total, problem } = useStore(list);
  const lastSeq = useLater(useStore(events).list.at(-1)?.seq ?? 0, 500);
  const { value } = useStore(hubs);
  useEffect(() => list.refresh(), [lastSeq, value]);
  return (
    <>
      <div class="filters" role="search">
        <TextField label={`Search in ${hub}`} type="search" value={search} onInput={setSearch} />
      </div>
      <p class="hint" role="status">{total} {total === 1 ? 'device' : 'devices'}</p>
      <Problem message={problem} />
      <VirtualList
        label={`Devices in ${hub}`}
        columns="hub-rows"
        headers={['Device id', 'State']}
        count={total}
        row={(index) => {
          const entry = list.at(index);
          return entry && {
            key: entry.deviceId,
            tone: entry.state === 'enabled' ? 'plain' : 'bad',
            cells: [<Sent text={entry.deviceId} />, entry.state],
          };
        }}
        onRange={(first, last) => list.show(first, last)}
        onOpen={(index) => { const entry = list.at(index); if (entry) go('hubs', hub, entry.deviceId); }}
        {...(open === undefined ? {} : { open })}
      />
    </>
  );
}
