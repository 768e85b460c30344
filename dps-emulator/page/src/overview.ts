// What the whole page needs to know of the emulator.
import { getJson } from './loaded';
import type { Overview } from './types';

export const overview = getJson<Overview>('/api/overview');
