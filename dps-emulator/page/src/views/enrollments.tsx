// Individual enrollments and groups: the list, and the one that is created or edited beside it.
import { useMemo, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { idOf, listEnrollments, readEnrollment, type Kind } from '../enrollments';
import { Loaded, useLoaded } from '../loaded';
import { addressOf, go } from '../route';
import { date } from '../text';
import type { Enrollment } from '../types';
import { Button, Heading, Problem, Sent, TextField, useFocusBack } from '../ui';
import { VirtualList, type Row } from '../virtual-list';
import { EnrollmentForm } from './enrollment-form';
import { Keys } from './keys';

/** What the address has in place of an id, for one that is created; no id begins with this character. */
const NEW = '+';

export function EnrollmentsView({ rest }: ViewProps) {
  const kind: Kind = rest[0] === 'groups' ? 'groups' : 'individual';
  const open = rest[1];
  useFocusBack(open !== undefined);
  const lists = useMemo(() => new Loaded(() => listEnrollments(kind)), [kind]);
  const { value = [], problem } = useLoaded(lists);
  const [search, setSearch] = useState('');
  const text = search.trim().toLowerCase();
  const shown = useMemo(() => value.filter((one) => haystack(one).includes(text)), [value, text]);
  const saved = async (id: string) => {
    go('enrollments', kind, id);
    await lists.load();
  };
  const deleted = () => {
    void lists.load();
    go('enrollments', kind);
  };
  return (
    <div class={open === undefined ? '' : 'split'}>
      <section class="wide-list">
        <Heading>Enrollments</Heading>
        <nav class="tabs" aria-label="Kind of enrollment">
          <a href={addressOf('enrollments', 'individual')} {...(kind === 'individual' ? { 'aria-current': 'page' } : {})}>
            Individual
          </a>
          <a href={addressOf('enrollments', 'groups')} {...(kind === 'groups' ? { 'aria-current': 'page' } : {})}>Groups</a>
        </nav>
        <div class="filters" role="search">
          <TextField label="Search" type="search" value={search} onInput={setSearch} />
          <Button kind="primary" onClick={() => go('enrollments', kind, NEW)}>
            {kind === 'groups' ? 'New group' : 'New enrollment'}
          </Button>
        </div>
        <p class="hint" role="status">{shown.length === value.length ? value.length : `${shown.length} of ${value.length}`} listed</p>
        <Problem message={problem} />
        <VirtualList
          label={kind === 'groups' ? 'Enrollment groups' : 'Individual enrollments'}
          columns="enrollment-rows"
          headers={[kind === 'groups' ? 'Group id' : 'Registration id', 'Attestation', 'Status', 'Hubs', 'Last change']}
          count={shown.length}
          row={(index) => rowOf(shown[index])}
          onOpen={(index) => { const one = shown[index]; if (one) go('enrollments', kind, idOf(one)); }}
          {...(open === undefined ? {} : { open })}
        />
      </section>
      {open === NEW && (
        <aside aria-label="New">
          <EnrollmentForm key={kind} kind={kind} onSaved={saved} onDeleted={deleted} />
        </aside>
      )}
      {open !== undefined && open !== NEW && (
        <Open key={`${kind} ${open}`} kind={kind} id={open} onSaved={saved} onDeleted={deleted} />
      )}
    </div>
  );
}

function haystack(enrollment: Enrollment): string {
  return [idOf(enrollment), enrollment.deviceId, enrollment.provisioningStatus, enrollment.attestation.type, ...(enrollment.iotHubs ?? [])]
    .join('\n')
    .toLowerCase();
}

function rowOf(enrollment: Enrollment | undefined): Row | undefined {
  if (!enrollment) return undefined;
  const status = enrollment.provisioningStatus ?? 'enabled';
  return {
    key: idOf(enrollment),
    tone: status === 'enabled' ? 'plain' : 'bad',
    cells: [
      <Sent text={idOf(enrollment)} />,
      enrollment.attestation.type,
      status,
      <Sent text={enrollment.iotHubs?.join(', ') ?? ''} />,
      enrollment.lastUpdatedDateTimeUtc ? date(enrollment.lastUpdatedDateTimeUtc) : '',
    ],
  };
}

type OpenProps = { kind: Kind; id: string; onSaved: (id: string) => Promise<void>; onDeleted: () => void };

function Open({ kind, id, onSaved, onDeleted }: OpenProps) {
  const loaded = useMemo(() => new Loaded(() => readEnrollment(kind, id)), [kind, id]);
  const { value, problem } = useLoaded(loaded);
  const saved = async () => {
    await Promise.all([loaded.load(), onSaved(id)]);
  };
  return (
    <aside aria-label={id}>
      <Problem message={problem} />
      {value && (
        <>
          <EnrollmentForm kind={kind} enrollment={value} onSaved={saved} onDeleted={onDeleted} />
          {value.attestation.type === 'symmetricKey' && <Keys kind={kind} id={id} />}
        </>
      )}
    </aside>
  );
}
