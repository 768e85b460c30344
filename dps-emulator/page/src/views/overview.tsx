// What clients need to know of the emulator.
import { useEffect } from 'preact/hooks';
import type { ViewProps } from '../app';
import { overview } from '../overview';
import { addressOf } from '../route';
import { useStore } from '../store';
import { date } from '../text';
import { Copy, Facts, Heading, Problem, Sent } from '../ui';

export function OverviewView(_: ViewProps) {
  const { value, problem } = useStore(overview);
  useEffect(() => void overview.load(), []);
  if (!value) return <Problem message={problem} />;
  const { endpoints, counts } = value;
  return (
    <section>
      <Heading>Overview</Heading>
      <div class="columns">
        <section>
          <h2>Endpoints</h2>
          <Facts
            facts={[
              ['Id scope', <Copied text={value.idScope} what="id scope" />],
              ['HTTPS', <Copied text={endpoints.https} what="HTTPS endpoint" />],
              ['MQTT', endpoints.mqtt ? <Copied text={endpoints.mqtt} what="MQTT endpoint" /> : 'disabled'],
              ['MQTT over WebSocket', endpoints.wss ? <Copied text={endpoints.wss} what="WebSocket endpoint" /> : 'disabled'],
              ['Version', value.version],
            ]}
          />
        </section>
        <section>
          <h2>Certificate authority</h2>
          <p>Devices trust this file instead of the system's authorities.</p>
          <p><a href="/ca.pem" download="ca.pem">Download ca.pem</a></p>
          <p>For firmware: <code>dps emulator ca --format c</code></p>
          <Facts facts={[['SHA-256', <code class="long">{value.caSha256}</code>]]} />
        </section>
        <section>
          <h2>Contents</h2>
          <Facts
            facts={[
              ['Individual enrollments', <a href={addressOf('enrollments', 'individual')}>{counts.enrollments}</a>],
              ['Groups', <a href={addressOf('enrollments', 'groups')}>{counts.enrollmentGroups}</a>],
              ['Registrations', <a href={addressOf('devices')}>{counts.registrations}</a>],
              ['Hubs', <a href={addressOf('hubs')}>{value.hubs.length}</a>],
              ['Clock', <a href={addressOf('clock')}>{date(value.clock.dateTimeUtc)}</a>],
            ]}
          />
        </section>
      </div>
    </section>
  );
}

function Copied({ text, what }: { text: string; what: string }) {
  return <span><code><Sent text={text} /></code> <Copy text={text} label={`Copy the ${what}`} /></span>;
}
