// Commands to copy, for a device and a client that are chosen.
import { useId, useState } from 'preact/hooks';
import type { ViewProps } from '../app';
import { commandsFor, problemOf, type Client, type Place, type Transport, type Wanted } from '../commands';
import { overview } from '../overview';
import { useStore } from '../store';
import type { Overview } from '../types';
import { Copy, Heading, SelectField, TextField } from '../ui';

const CLIENTS: readonly (readonly [Client, string])[] = [['dps', 'dps'], ['curl', 'curl'], ['python', 'Python'], ['c', 'C']];
const PLACES: readonly (readonly [Place, string])[] = [['host', 'Host'], ['container', 'Container'], ['board', 'Board']];
const TRANSPORTS: readonly (readonly [Transport, string])[] = [
  ['https', 'HTTPS'],
  ['mqtt', 'MQTT'],
  ['mqtt-ws', 'MQTT over WebSocket'],
];

export function CommandsView({ rest }: ViewProps) {
  const [kind, id = ''] = rest;
  const isGroup = kind === 'groups';
  const [registrationId, setRegistrationId] = useState(isGroup ? '' : id);
  const [groupId, setGroupId] = useState(isGroup ? id : '');
  return (
    <section>
      <Heading>Commands</Heading>
      <p>Pasted into a shell, these commands register a device with a symmetric key. They name files and contain no key.</p>
      <div class="filters">
        <TextField label="Registration id" value={registrationId} onInput={(text) => setRegistrationId(text.trim())} />
        <TextField label="Enrollment group (if any)" value={groupId}
          onInput={(text) => setGroupId(text.trim())} />
      </div>
      <CommandBlock registrationId={registrationId} groupId={groupId} />
    </section>
  );
}

export function CommandBlock({ registrationId, groupId }: { registrationId: string; groupId: string }) {
  const { value: about } = useStore(overview);
  const [client, setClient] = useState<Client>('dps');
  const [place, setPlace] = useState<Place>('host');
  const [transport, setTransport] = useState<Transport>('https');
  const [container, setContainer] = useState<string>();
  const [typed, setTyped] = useState<Partial<Record<Place, string>>>({});
  if (!about) return null;
  const used = client === 'curl' ? 'https' : transport;
  const inContainer = container ?? likelyContainer(about);
  const host = typed[place] ?? hostOf(about, place, inContainer);
  const port = endpointOf(about, used)?.split(':').at(-1) ?? '';
  const wanted: Wanted = {
    client, place, transport: used, registrationId, groupId, container: inContainer,
    idScope: about.idScope,
    address: host.includes(':') && !host.startsWith('[') ? host : `${host}:${port}`,
    owner: about.endpoints.https,
    emulatorCommand: (name) => emulatorCommand(name, inContainer, about),
  };
  const problem = port === '' ? 'The emulator does not listen for this transport.' : problemOf(wanted);
  const commands = problem === undefined ? commandsFor(wanted) : undefined;
  return (
    <div class="commands">
      <div class="filters">
        <Switch label="Client" value={client} options={CLIENTS} onChange={setClient} />
        <Switch label="Device on" value={place} options={PLACES} onChange={setPlace} />
        {client !== 'curl' && (
          <SelectField label="Transport" value={transport} options={TRANSPORTS}
            onChange={(value) => setTransport(value as Transport)} />
        )}
        <TextField label="Emulator’s container" value={inContainer} onInput={(text) => setContainer(text.trim())} />
        {place !== 'host' && (
          <TextField label="Address of the emulator for the device" value={host}
            onInput={(text) => setTyped({ ...typed, [place]: text.trim() })} />
        )}
      </div>
      {problem !== undefined && <p class="hint" role="status">{problem}</p>}
      {commands && place === 'host' && (
        <Shell title="In a shell on this machine" text={`${commands.files}\n${commands.register}`} />
      )}
      {commands && place !== 'host' && (
        <>
          {isLoopback(about.listen) && (
            <p class="hint">
              This emulator listens on loopback only. For other machines, start it with an address in its certificate:
              {' '}<code>dps emulator --listen 0.0.0.0 --host {host}</code>
            </p>
          )}
          <Shell title="1. In a shell on this machine" text={commands.files} />
          <Shell title={`2. On the ${place}, with ca.pem and device.key`} text={commands.register} />
        </>
      )}
    </div>
  );
}

function endpointOf({ endpoints }: Overview, transport: Transport): string | null {
  return transport === 'https' ? endpoints.https : transport === 'mqtt' ? endpoints.mqtt : endpoints.wss;
}

/** Where a device finds the emulator: what was announced, or in a container the emulator's own, or the usual name of the machine. */
function hostOf(about: Overview, place: Place, container: string): string {
  const own = about.endpoints.https.replace(/:[0-9]+$/, '');
  if (place === 'host' || own !== 'localhost') return own;
  if (place === 'board') return '';
  return container === '' ? 'host.docker.internal' : container;
}

/** The name that the documents give a container; one is likely if the emulator is told to listen everywhere, or to announce ports. */
function likelyContainer({ announced, listen }: Overview): string {
  return announced || listen === '0.0.0.0' || listen === '::' ? 'dps' : '';
}

/** Outside of a container the port tells which emulator of this machine is meant. */
function emulatorCommand(name: string, container: string, { endpoints }: Overview): string {
  if (container !== '') return `docker exec ${container} dps emulator ${name}`;
  return `dps emulator ${name} --https-port ${endpoints.https.split(':').at(-1)}`;
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}

function Shell({ title, text }: { title: string; text: string }) {
  return (
    <section class="shell">
      <div class="title">
        <h3>{title}</h3>
        <Copy text={text} label={`Copy: ${title}`} />
      </div>
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

/** A choice of few, all of which are visible. */
function Switch<T extends string>({ label, value, options, onChange }: {
  label: string;
  value: T;
  options: readonly (readonly [T, string])[];
  onChange: (value: T) => void;
}) {
  const name = useId();
  return (
    <fieldset class="switch">
      <legend>{label}</legend>
      {options.map(([key, text]) => (
        <label key={key}>
          <input type="radio" name={name} checked={key === value} onChange={() => onChange(key)} />
          <span>{text}</span>
        </label>
      ))}
    </fieldset>
  );
}
