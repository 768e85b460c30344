// Enrollments and groups by the service's admin API.
//
// They are written by its bulk calls, with one item each: the reply to a PUT contains the keys, which the page must not have
// before they are asked for; that of a bulk call contains none.
import { CallError, send, sendForJson } from './session';
import type { Attestation, Enrollment } from './types';

export type Kind = 'individual' | 'groups';

const VERSION = 'api-version=2021-10-01';
/** How many are read at once, which is the most that the service returns. */
const PAGE = '1000';

const NAMES = {
  individual: { path: 'enrollments', list: 'enrollments', id: 'registrationId' },
  groups: { path: 'enrollmentGroups', list: 'enrollmentGroups', id: 'enrollmentGroupId' },
} as const;

export function idOf(enrollment: Enrollment): string {
  return enrollment.registrationId ?? enrollment.enrollmentGroupId ?? '';
}

function pathOf(kind: Kind, id: string): string {
  return `/api/${NAMES[kind].path}/${encodeURIComponent(id)}`;
}

/** All of a kind, by id. */
export async function listEnrollments(kind: Kind): Promise<Enrollment[]> {
  const { path, list } = NAMES[kind];
  const all: Enrollment[] = [];
  let next: string | null = '';
  while (next !== null) {
    const headers: Record<string, string> = { 'x-ms-max-item-count': PAGE };
    if (next !== '') headers['x-ms-continuation'] = next;
    const reply = await send('POST', `/api/${path}/query?${VERSION}`, { headers, body: { query: `SELECT * FROM ${list}` } });
    all.push(...(JSON.parse(reply.text) as Enrollment[]));
    next = reply.headers.get('x-ms-continuation');
  }
  return all;
}

export async function readEnrollment(kind: Kind, id: string): Promise<Enrollment> {
  return sendForJson('GET', `${pathOf(kind, id)}?${VERSION}`);
}

interface BulkError {
  errorCode?: number;
  errorStatus?: string;
}

/** Creates one that must not exist, or replaces the one with this etag. */
export async function saveEnrollment(kind: Kind, enrollment: Enrollment): Promise<void> {
  const { path, list } = NAMES[kind];
  const mode = enrollment.etag === undefined ? 'create' : 'updateIfMatchETag';
  const body = { mode, [list]: [enrollment] };
  const { errors } = await sendForJson<{ errors: BulkError[] }>('POST', `/api/${path}?${VERSION}`, { body });
  const [error] = errors;
  if (error) throw new CallError(400, error.errorStatus ?? `The emulator refused it with ${error.errorCode}.`);
}

export async function deleteEnrollment(kind: Kind, id: string): Promise<void> {
  await send('DELETE', `${pathOf(kind, id)}?${VERSION}`);
}

/** The attestation with the keys: a call of its own, made only when the user asks. */
export async function readKeys(kind: Kind, id: string): Promise<Attestation> {
  return sendForJson('POST', `${pathOf(kind, id)}/attestationmechanism?${VERSION}`);
}
