// A device's entry in a hub: its state, what it did there, its twin, and what the hub's owner can change.
import { useMemo, useState } from 'preact/hooks';
import { getJson, problemOf, useLoaded } from '../loaded';
import { overview } from '../overview';
import { send } from '../session';
import { useStore } from '../store';
import { json } from '../text';
import type { HubDevice } from '../types';
import { Button, Confirmed, Facts, Problem, SelectField } from '../ui';

export function HubEntry({ hub, deviceId, onChange }: { hub: string; deviceId: string; onChange: () => void }) {
  const path = `/api/emulator/hubs/${encodeURIComponent(hub)}/devices/${encodeURIComponent(deviceId)}`;
  const entry = useMemo(() => getJson<HubDevice>(path), [path]);
  const { value, problem } = useLoaded(entry);
  const [failed, setFailed] = useState<string>();
  const change = async (method: string, body?: unknown) => {
    try {
      await send(method, path, { body });
      setFailed(undefined);
    } catch (error) {
      setFailed(problemOf(error));
    }
    await entry.load();
    onChange();
  };
  if (!value) return <Problem message={problem} />;
  const isAbsent = value.state === 'absent';
  return (
    <>
      <Problem message={failed} />
      <Facts
        facts={[
          ['State', value.state],
          ['Sign-ins', String(value.connects)],
          ['Refused', String(value.refused)],
          ['Twin read', String(value.twins)],
          ['Telemetry messages', String(value.telemetry)],
        ]}
      />
      {value.twin && (
        <>
          <h3>Twin</h3>
          <pre tabIndex={0}>{json(value.twin)}</pre>
        </>
      )}
      {!isAbsent && (
        <div class="actions">
          {value.state === 'enabled'
            ? <Button onClick={() => void change('PATCH', { enabled: false })}>Disable in the hub</Button>
            : <Button onClick={() => void change('PATCH', { enabled: true })}>Enable in the hub</Button>}
          <Confirmed question="Delete the device from the hub?" onConfirm={() => void change('DELETE')}>
            Delete from the hub
          </Confirmed>
          <Move from={hub} onMove={(to) => void change('PATCH', { hub: to })} />
        </div>
      )}
    </>
  );
}

function Move({ from, onMove }: { from: string; onMove: (to: string) => void }) {
  const { value: about } = useStore(overview);
  const others = (about?.hubs ?? []).filter((hub) => hub.weight !== null).map((hub) => hub.name).filter((name) => name !== from);
  const [to, setTo] = useState('');
  const chosen = others.includes(to) ? to : others[0];
  if (chosen === undefined) return null;
  return (
    <div class="inline">
      <SelectField label="Another hub" value={chosen} options={others.map((name) => [name, name] as const)} onChange={setTo} />
      <Button onClick={() => onMove(chosen)}>Move</Button>
    </div>
  );
}
