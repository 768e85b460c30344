// Faults: what is planned, and a form that plans one.
import { useEffect, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { floods, kinds } from '../faults.json';
import { getJson, problemOf, useLoaded } from '../loaded';
import { events } from '../events';
import { send } from '../session';
import { useStore } from '../store';
import { useLater } from '../later';
import { printable } from '../text';
import type { Fault } from '../types';
import { Button, CheckField, Heading, Problem, SelectField, Sent, TextField } from '../ui';

const PATH = '/api/emulator/faults';
const planned = getJson<{ faults: Fault[] }>(PATH);

/** Members of a plan that are numbers, with their names and limits. */
const NUMBERS: Record<string, { label: string; min: number; max: number; start: string }> = {
  status: { label: 'Status', min: 400, max: 599, start: '503' },
  ms: { label: 'Milliseconds', min: 1, max: 86_400_000, start: '1000' },
  bytes: { label: 'Bytes', min: 1, max: 16_777_216, start: '65536' },
  code: { label: 'CONNACK code', min: 1, max: 5, start: '3' },
};

export function FaultsView(_: ViewProps) {
  const { value, problem } = useLoaded(planned);
  const [failed, setFailed] = useState<string>();
  // Requests that met a fault change how many are left.
  const lastSeq = useLater(useStore(events).list.at(-1)?.seq ?? 0, 200);
  useEffect(() => void planned.load(), [lastSeq]);
  const attempt = async (call: () => Promise<unknown>) => {
    try {
      await call();
      setFailed(undefined);
    } catch (error) {
      setFailed(problemOf(error));
    }
    await planned.load();
  };
  const clear = (id?: string) =>
    void attempt(() => send('DELETE', id === undefined ? PATH : `${PATH}?registrationId=${encodeURIComponent(id)}`));
  const faults = value?.faults ?? [];
  return (
    <section>
      <Heading>Faults</Heading>
      <p>The next requests of a device meet the faults that are planned for them, each at most one, in this order.</p>
      <Problem message={failed ?? problem} />
      <div class="columns">
        <section>
          <h2>Plan a fault</h2>
          <PlanForm onPlan={(plan) => void attempt(() => send('POST', PATH, { body: plan }))} />
        </section>
        <section>
          <h2>Planned</h2>
          {faults.length === 0 ? <p>No fault is planned.</p> : <Planned faults={faults} clear={clear} />}
        </section>
      </div>
    </section>
  );
}

function Planned({ faults, clear }: { faults: Fault[]; clear: (id?: string) => void }) {
  return (
    <>
      <div class="scroll" tabIndex={0} role="region" aria-label="Planned faults">
        <table>
          <thead>
            <tr><th>Kind</th><th>At</th><th>Device</th><th>Left</th><th>Details</th><th>Clear</th></tr>
          </thead>
          <tbody>
            {faults.map((fault, index) => (
              <tr key={index}>
                <td>{fault.kind}</td>
                <td>{fault.at}</td>
                <td>{fault.registrationId === undefined ? 'every device' : <Sent text={fault.registrationId} />}</td>
                <td>{fault.left} of {fault.times}</td>
                <td>{details(fault)}</td>
                <td>
                  {fault.registrationId !== undefined && (
                    <Button label={`Clear the faults of ${fault.registrationId}`} onClick={() => clear(fault.registrationId)}>Clear</Button>
                  )}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="actions"><Button onClick={() => clear()}>Clear all faults</Button></div>
    </>
  );
}

function details(fault: Fault): string {
  const { kind: _kind, at: _at, registrationId: _id, times: _times, left: _left, ...own } = fault;
  return printable(Object.entries(own).map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(', '));
}

function PlanForm({ onPlan }: { onPlan: (plan: Fault) => void }) {
  const [kindName, setKind] = useState('throttle');
  const [at, setAt] = useState('any');
  const [device, setDevice] = useState('');
  const [times, setTimes] = useState('1');
  const [members, setMembers] = useState<Record<string, string>>({});
  const [problem, setProblem] = useState<string>();
  const kind = kinds.find(({ name }) => name === kindName) ?? kinds[0];
  if (!kind) return null;
  const request = kind.requests.includes(at) ? at : (kind.requests[0] ?? 'any');
  const set = (member: string, value: string) => setMembers({ ...members, [member]: value });
  const plan = (event: SubmitEvent) => {
    event.preventDefault();
    try {
      const own = Object.fromEntries(kind.members.flatMap((member) => read(member, members[member])));
      const id = device.trim();
      onPlan({ kind: kind.name, at: request, times: Number(times), ...(id !== '' && { registrationId: id }), ...own });
      setProblem(undefined);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <form onSubmit={plan}>
      <Problem message={problem} />
      <SelectField label="Kind" value={kind.name} options={kinds.map(({ name }) => [name, name] as const)} onChange={setKind}
        hint={kind.meaning} />
      <SelectField label="At" value={request} options={kind.requests.map((name) => [name, name] as const)} onChange={setAt} />
      <TextField label="Registration id" value={device} hint="Empty: every device" onInput={setDevice} />
      <TextField label="How many requests" type="number" min={1} max={4_294_967_295} value={times} required onInput={setTimes} />
      {kind.members.map((member) => <Member key={member} member={member} value={members[member]} set={(value) => set(member, value)} />)}
      <div class="actions"><Button kind="primary" type="submit">Plan</Button></div>
    </form>
  );
}

function Member({ member, value, set }: { member: string; value: string | undefined; set: (value: string) => void }) {
  const number = NUMBERS[member];
  if (number) {
    const { label, min, max, start } = number;
    return <TextField label={label} type="number" min={min} max={max} value={value ?? start} required onInput={set} />;
  }
  switch (member) {
    case 'retryAfter':
      return <TextField label="Retry-After, in seconds" type="number" min={0} value={value ?? ''} hint="Empty: no hint" onInput={set} />;
    case 'of':
      return <SelectField label="Flood of" value={value ?? 'pingresp'} options={floods.map((name) => [name, name] as const)} onChange={set} />;
    case 'answered':
      return <CheckField label="After the reply (MQTT)" checked={value === 'true'} onChange={(checked) => set(String(checked))} />;
    default:
      return <TextField label="JSON merge patch of the reply" rows={3} value={value ?? '{}'} required onInput={set} />;
  }
}

/** The member as it is in a plan; nothing if it is left out. */
function read(member: string, value: string | undefined): [string, unknown][] {
  const number = NUMBERS[member];
  if (number) return [[member, Number(value ?? number.start)]];
  switch (member) {
    case 'retryAfter':
      return value === undefined || value === '' ? [] : [[member, Number(value)]];
    case 'of':
      return [[member, value ?? 'pingresp']];
    case 'answered':
      return value === 'true' ? [[member, true]] : [];
    default:
      try {
        return [[member, JSON.parse(value ?? '{}')]];
      } catch {
        throw new Error('The patch is not JSON: write an object such as {"status": null}.');
      }
  }
}
