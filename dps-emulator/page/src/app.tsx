// The frame: navigation, the state of the connection, and the view that the address names.
import type { ComponentType } from 'preact';
import { overview } from './overview';
import { addressOf, route } from './route';
import { session, type Session } from './session';
import { useStore } from './store';
import { Sent } from './ui';
import { ClockView } from './views/clock';
import { CommandsView } from './views/commands';
import { DeviceView } from './views/device';
import { DevicesView } from './views/devices';
import { EnrollmentsView } from './views/enrollments';
import { EventsView } from './views/events';
import { FaultsView } from './views/faults';
import { HubsView } from './views/hubs';
import { OverviewView } from './views/overview';

/** What follows the name of the view in the address. */
export interface ViewProps {
  rest: readonly string[];
}

interface View {
  name: string;
  title: string;
  view: ComponentType<ViewProps>;
  /** What is shown instead if the address has more than the name. */
  detail?: ComponentType<ViewProps>;
  /** Whether it is made anew for every address; others keep their search and position. */
  isFresh?: true;
}

const VIEWS: readonly View[] = [
  { name: 'events', title: 'Events', view: EventsView },
  { name: 'devices', title: 'Devices', view: DevicesView, detail: DeviceView, isFresh: true },
  { name: 'enrollments', title: 'Enrollments', view: EnrollmentsView },
  { name: 'hubs', title: 'Hubs', view: HubsView },
  { name: 'faults', title: 'Faults', view: FaultsView },
  { name: 'clock', title: 'Clock', view: ClockView },
  { name: 'commands', title: 'Commands', view: CommandsView, isFresh: true },
  { name: 'overview', title: 'Overview', view: OverviewView },
];

export function App() {
  const current = useStore(session);
  const [name, ...rest] = useStore(route);
  const { value: about } = useStore(overview);
  const shown = VIEWS.find((view) => view.name === name) ?? VIEWS[0];
  if (current.state === 'starting') return null;
  if (current.state === 'closed') return <Closed message={current.message} />;
  const View = rest[0] !== undefined && shown?.detail ? shown.detail : shown?.view;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById('main')?.focus(); }}>
        Skip to the content
      </a>
      <header>
        <strong class="brand">DPS emulator</strong>
        {about && <span class="scope">id scope <code><Sent text={about.idScope} /></code></span>}
        <State state={current} />
        <nav aria-label="Views">
          {VIEWS.map((view) => (
            <a key={view.name} href={addressOf(view.name)} {...(view === shown ? { 'aria-current': 'page' } : {})}>
              {view.title}
            </a>
          ))}
        </nav>
      </header>
      <Notice state={current} />
      <main id="main" tabIndex={-1}>{View && <View key={shown?.isFresh ? [name, ...rest].join('/') : name} rest={rest} />}</main>
    </>
  );
}

/** A word in the header: whether what is shown is current. */
function State({ state: { state } }: { state: Session }) {
  const isOpen = state === 'open';
  return <span class={`state ${isOpen ? 'good' : 'bad'}`}>{isOpen ? 'connected' : 'not connected'}</span>;
}

/** What to do when the emulator is gone; what was shown stays readable. */
function Notice({ state: { state } }: { state: Session }) {
  const text =
    state === 'ended'
      ? 'The emulator was started again, or the session has expired: open the page with a new link.'
      : state === 'unreachable'
        ? 'The emulator does not answer. The page tries again; if the emulator was started again, open a new link.'
        : undefined;
  return (
    <div role="status">
      {text !== undefined && (
        <p class="notice">
          {text} <NewLink />
        </p>
      )}
    </div>
  );
}

function NewLink() {
  return <span>The command <code>dps emulator ui</code> prints one.</span>;
}

function Closed({ message }: { message: string }) {
  return (
    <main class="closed">
      <h1>DPS emulator</h1>
      <p role="alert">{message}</p>
      <p>The emulator prints a link when it starts. <NewLink /></p>
      <p>A link works once, within 10 minutes, and opens the page in one tab.</p>
    </main>
  );
}
