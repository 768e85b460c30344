import advice from 'virtual:reasons';

/** What to do about a refusal, if the reason is known. */
export function adviceFor(reason: string): string | undefined {
  return advice[reason];
}
