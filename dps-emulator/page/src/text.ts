// How values are written. What a peer sent may contain control characters: they are made visible.
import type { Event, Token } from './types';

// C0, DEL, C1, and the characters that change the direction of text or have no width.
const HIDDEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

export function printable(text: string): string {
  return text.replace(HIDDEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** `10:14:02.131`, of a date as the service writes it. */
export function timeOfDay(utc: string): string {
  return utc.slice(11, 23);
}

/** `2026-01-02 10:14:02 UTC`. */
export function date(utc: string): string {
  return `${utc.slice(0, 10)} ${utc.slice(11, 19)} UTC`;
}

/** `25 ms`, `90 s`, `2 h 5 min`: of a number of seconds, without its sign. */
export function duration(seconds: number): string {
  const rest = Math.abs(seconds);
  if (rest < 1 && rest > 0) return `${Math.round(rest * 1000)} ms`;
  if (rest < 10 && !Number.isInteger(rest)) return `${rest.toFixed(1)} s`;
  if (rest < 120) return `${Math.round(rest)} s`;
  if (rest < 7200) return `${Math.floor(rest / 60)} min`;
  if (rest < 172_800) return `${Math.floor(rest / 3600)} h ${Math.floor((rest % 3600) / 60)} min`;
  return `${Math.floor(rest / 86_400)} d ${Math.floor((rest % 86_400) / 3600)} h`;
}

const SIGNED_BY: Record<string, string> = {
  'primary-key': 'the primary key',
  'secondary-key': 'the secondary key',
  'group-key': 'the key of a group itself, not one derived from it',
  'other-device-key': 'the key of another device',
  'tpm-challenge': 'the key of the TPM challenge',
  'policy-key': 'the key of the policy',
  nobody: 'no key that the service knows',
};

/** Whose key signed a token. */
export function signedBy(token: Token): string {
  const who = SIGNED_BY[token.signedBy] ?? token.signedBy;
  return token.keyOf === undefined ? who : `${who} (${printable(token.keyOf)})`;
}

/** What happened, in one line, without the device and the reason. */
export function summary(event: Event): string {
  const status = event.status === undefined ? '' : `: ${event.status}`;
  const code = event.code === undefined ? '' : ` (${event.code})`;
  switch (event.kind) {
    case 'connection':
      return event.connection?.tlsVersion ? `connected, TLS ${event.connection.tlsVersion}` : 'connected';
    case 'disconnection':
      return `disconnected after ${duration((event.lastedMs ?? 0) / 1000)}`;
    case 'fault':
      return `fault met: ${event.fault ?? ''} at ${event.at ?? ''}`;
    case 'hub-sign-in':
      return `sign-in to ${printable(event.hub ?? 'a hub')}${status}`;
    case 'webhook':
      return `webhook ${printable(event.url ?? '')}${status}`;
    default:
      return `${printable(event.call ?? event.kind)}${status}${code}${state(event)}${wait(event)}`;
  }
}

/** ` assigning`, ` assigned to hub-a.test`. */
function state(event: Event): string {
  const reply = event.reply as { status?: unknown; registrationState?: { assignedHub?: unknown } } | null | undefined;
  if (typeof reply?.status !== 'string') return '';
  const hub = reply.registrationState?.assignedHub;
  return ` ${printable(reply.status)}${reply.status === 'assigned' && typeof hub === 'string' ? ` to ${printable(hub)}` : ''}`;
}

function wait(event: Event): string {
  const early = event.earlyByMs ? `, ${(event.earlyByMs / 1000).toFixed(1)} s too early` : '';
  const told = event.waitToldSeconds === undefined ? '' : `, told to wait ${event.waitToldSeconds} s`;
  return early + told;
}

/** How a row is marked. */
export type Tone = 'bad' | 'good' | 'fault' | 'quiet' | 'plain';

export function toneOf(event: Event): Tone {
  if (event.kind === 'fault') return 'fault';
  if (event.kind === 'connection' || event.kind === 'disconnection') return event.reason ? 'bad' : 'quiet';
  if (event.kind === 'refusal' || event.reason !== undefined) return 'bad';
  if (event.kind === 'hub-sign-in') return 'good';
  const reply = event.reply as { status?: unknown } | null | undefined;
  return reply?.status === 'assigned' ? 'good' : 'plain';
}

/** JSON over several lines, with hidden characters visible. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2).split('\n').map(printable).join('\n');
}
