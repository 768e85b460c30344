// The service's clock: what it shows, and how it is moved.
import { useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { getJson, problemOf, useLoaded } from '../loaded';
import { send } from '../session';
import { date, duration } from '../text';
import type { Clock } from '../types';
import { Button, Facts, Heading, Problem, SelectField, TextField } from '../ui';

const PATH = '/api/emulator/clock';
const clock = getJson<Clock>(PATH);
const UNITS = [['1', 'seconds'], ['60', 'minutes'], ['3600', 'hours'], ['86400', 'days']] as const;

export function ClockView(_: ViewProps) {
  const { value, problem } = useLoaded(clock);
  const [failed, setFailed] = useState<string>();
  const [amount, setAmount] = useState('1');
  const [unit, setUnit] = useState('3600');
  const [scale, setScale] = useState<string>();
  const change = (body: unknown) => async (event: SubmitEvent) => {
    event.preventDefault();
    try {
      await send('PATCH', PATH, { body });
      setFailed(undefined);
    } catch (error) {
      setFailed(problemOf(error));
    }
    await clock.load();
  };
  return (
    <section>
      <Heading>Clock</Heading>
      <p>The service's clock can be moved; that of the machine and those of devices stay as they are.</p>
      <Problem message={failed ?? problem} />
      {value && (
        <Facts
          facts={[
            ['Date', date(value.dateTimeUtc)],
            ['Offset', value.offsetMs === 0 ? 'the same as the machine' : `${duration(value.offsetMs / 1000)} ${value.offsetMs > 0 ? 'ahead of' : 'behind'} the machine`],
            ['Waits are divided by', String(value.scale)],
          ]}
        />
      )}
      <div class="columns">
        <form onSubmit={change({ advanceMs: Math.round(Number(amount) * Number(unit) * 1000) })}>
          <h2>Let time pass</h2>
          <p class="hint">Assignments become due; tokens and certificates expire.</p>
          <TextField label="How long" type="number" min={1} value={amount} required onInput={setAmount} />
          <SelectField label="Unit" value={unit} options={UNITS} onChange={setUnit} />
          <div class="actions"><Button kind="primary" type="submit">Advance</Button></div>
        </form>
        <form onSubmit={change({ scale: Number(scale ?? value?.scale ?? 1) })}>
          <h2>Divide waits</h2>
          <p class="hint">Assignments, hints, rate windows and operations are this many times shorter; the date is not changed.</p>
          <TextField label="Divide by" type="number" min={1} max={1000} value={scale ?? String(value?.scale ?? 1)} required
            onInput={setScale} />
          <div class="actions"><Button kind="primary" type="submit">Set</Button></div>
        </form>
      </div>
    </section>
  );
}
