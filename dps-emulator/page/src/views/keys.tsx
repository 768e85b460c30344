// The keys of an enrollment: read only when the user asks, and forgotten when they are hidden or the view is closed.
import { useEffect, useState } from 'preact/hooks';
import { readKeys, type Kind } from '../enrollments';
import { problemOf } from '../loaded';
import type { Attestation } from '../types';
import { Button, Copy, Problem } from '../ui';

export function Keys({ kind, id }: { kind: Kind; id: string }) {
  const [keys, setKeys] = useState<Attestation['symmetricKey']>();
  const [problem, setProblem] = useState<string>();
  useEffect(() => () => setKeys(undefined), []);
  const show = async () => {
    try {
      setKeys((await readKeys(kind, id)).symmetricKey);
      setProblem(undefined);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <section>
      <h3>Keys</h3>
      <Problem message={problem} />
      {keys ? (
        <>
          <Key name="Primary key" value={keys.primaryKey} />
          <Key name="Secondary key" value={keys.secondaryKey} />
          <Button onClick={() => setKeys(undefined)}>Hide keys</Button>
        </>
      ) : (
        <Button onClick={() => void show()}>Show keys</Button>
      )}
      {kind === 'groups' && keys && <p class="hint">A device never has the key of its group: derive its own with <code>dps derive-key</code>.</p>}
    </section>
  );
}

function Key({ name, value }: { name: string; value: string | undefined }) {
  if (value === undefined) return null;
  return (
    <p class="key">
      <span>{name}</span> <code>{value}</code> <Copy text={value} label={`Copy the ${name.toLowerCase()}`} />
    </p>
  );
}
