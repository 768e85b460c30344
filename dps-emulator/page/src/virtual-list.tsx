// A table of any length, of which only the visible rows exist. It has one tab stop; the arrow keys, Page Up, Page Down, Home
// and End move the active row, Enter opens it.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useLayoutEffect, useRef, useState } from 'preact/hooks';

/** The height of a row in pixels, on a wide screen and on a narrow one, as the style sheet sets it. */
const ROW_WIDE = 30;
const ROW_NARROW = 56;
const NARROW = matchMedia('(max-width: 720px)');
/** How many rows beyond the visible ones are rendered. */
const BEYOND = 6;

export interface Row {
  key: string | number;
  cells: ComponentChildren[];
  tone?: string;
}

type Props = {
  /** What the table contains, for screen readers. */
  label: string;
  /** Selects the widths of the columns in the style sheet. */
  columns: 'event-rows' | 'device-rows' | 'enrollment-rows' | 'hub-rows';
  headers: readonly string[];
  count: number;
  /** The row at an index; undefined while it is loaded. */
  row: (index: number) => Row | undefined;
  onOpen: (index: number) => void;
  /** Which rows are visible. */
  onRange?: (first: number, last: number) => void;
  /** The key of the row that is open. */
  open?: string | number;
  /** Set if rows are added at the top: what is shown stays where it is, as long as this value is the same. */
  growsAtTop?: string;
};

export function VirtualList({ label, columns, headers, count, row, onOpen, onRange, open, growsAtTop }: Props) {
  const id = useId();
  const box = useRef<HTMLDivElement>(null);
  const height = useRowHeight();
  const [view, setView] = useState({ top: 0, height: 600 });
  const [active, setActive] = useState(0);
  const first = Math.max(0, Math.floor(view.top / height) - BEYOND);
  const last = Math.min(count - 1, Math.ceil((view.top + view.height) / height) + BEYOND);

  const measure = () => {
    const element = box.current;
    if (element) setView({ top: element.scrollTop, height: element.clientHeight });
  };
  useLayoutEffect(() => {
    measure();
    const observer = new ResizeObserver(measure);
    if (box.current) observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  const earlier = useRef({ count, growsAtTop });
  useLayoutEffect(() => {
    const added = earlier.current.growsAtTop === growsAtTop ? count - earlier.current.count : 0;
    earlier.current = { count, growsAtTop };
    const shift = growsAtTop !== undefined && added > 0 && box.current !== null && box.current.scrollTop > 0 ? added : 0;
    if (shift > 0 && box.current) box.current.scrollTop += shift * height;
    // A shorter list ends above the position of a longer one.
    measure();
    setActive((index) => Math.max(0, Math.min(index + shift, count - 1)));
  }, [count, growsAtTop]);
  useEffect(() => onRange?.(first, last), [first, last, count]);

  const moveTo = (index: number) => {
    const next = Math.max(0, Math.min(count - 1, index));
    setActive(next);
    const element = box.current;
    if (!element) return;
    const top = next * height;
    if (top < element.scrollTop) element.scrollTop = top;
    // The sticky header covers the height of a row.
    else if (top + 2 * height > element.scrollTop + element.clientHeight) {
      element.scrollTop = top + 2 * height - element.clientHeight;
    }
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(view.height / height) - 2);
    const moves: Record<string, number> = {
      ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + page, PageUp: active - page, Home: 0, End: count - 1,
    };
    const to = moves[event.key];
    if (to !== undefined) moveTo(to);
    else if (event.key === 'Enter' && count > 0) onOpen(active);
    else return;
    event.preventDefault();
  };

  const rows = [];
  for (let index = first; index <= last; index += 1) {
    const content = row(index);
    const isOpen = content !== undefined && content.key === open;
    rows.push(
      <div
        key={content?.key ?? `index-${index}`}
        id={`${id}-${index}`}
        role="row"
        aria-rowindex={index + 2}
        aria-selected={isOpen}
        class={`row ${content?.tone ?? ''} ${index === active ? 'active' : ''}`}
        style={{ top: `${index * height}px` }}
        onClick={() => { setActive(index); onOpen(index); }}
      >
        {headers.map((header, column) => (
          <span role="gridcell" key={header} class={`cell-${column}`}>{content ? content.cells[column] : '…'}</span>
        ))}
      </div>,
    );
  }
  const isActiveRendered = active >= first && active <= last;
  return (
    <div
      ref={box}
      class={`grid ${columns}`}
      role="grid"
      aria-label={label}
      aria-rowcount={count + 1}
      aria-colcount={headers.length}
      tabIndex={0}
      onScroll={measure}
      onKeyDown={onKeyDown}
      {...(isActiveRendered && count > 0 ? { 'aria-activedescendant': `${id}-${active}` } : {})}
    >
      <div role="row" aria-rowindex={1} class="row head">
        {headers.map((header, column) => (
          <span role="columnheader" key={header} class={`cell-${column}`}>{header}</span>
        ))}
      </div>
      <div role="rowgroup" class="rows" style={{ height: `${count * height}px` }}>{rows}</div>
    </div>
  );
}

function useRowHeight(): number {
  const [isNarrow, setNarrow] = useState(NARROW.matches);
  useEffect(() => {
    const changed = () => setNarrow(NARROW.matches);
    NARROW.addEventListener('change', changed);
    return () => NARROW.removeEventListener('change', changed);
  }, []);
  return isNarrow ? ROW_NARROW : ROW_WIDE;
}
