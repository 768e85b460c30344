import { useEffect, useState } from 'preact/hooks';

/** The value once it has not changed for a while, in milliseconds: so that typing does not start a call with every letter. */
export function useLater<T>(value: T, ms = 150): T {
  const [settled, settle] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => settle(() => value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
