// One event, decoded: what was asked and answered, the token taken apart, the chain with its missing link, the packets.
import type { ComponentChildren } from 'preact';
import { adviceFor } from '../reasons';
import { addressOf, go } from '../route';
import { date, duration, json, signedBy, summary, timeOfDay, toneOf } from '../text';
import type { Certificate, Event, Packet, Token } from '../types';
import { Facts, PanelTitle, Sent } from '../ui';

export function Exchange({ event }: { event: Event }) {
  const device = event.registrationId;
  return (
    <aside class="exchange" aria-label={`Event ${event.seq}`}>
      <PanelTitle onClose={() => go('events')}>{summary(event)}</PanelTitle>
      {event.reason !== undefined && <Reason event={event} reason={event.reason} />}
      <Facts
        facts={[
          ['Device', device && <a href={addressOf('devices', device)}><Sent text={device} /></a>],
          ['When', `${date(event.timestampUtc).slice(0, 10)} ${timeOfDay(event.timestampUtc)} UTC`],
          ['Transport', event.transport],
          ['Status', event.status === undefined ? '' : `${event.status}${event.code === undefined ? '' : ` (${event.code})`}`],
          ['Asked to wait', event.waitToldSeconds === undefined ? '' : `${event.waitToldSeconds} s`],
          ['Waited', waited(event)],
          ['Operation', event.operationId],
          ['Tracking id', event.trackingId],
          ['API version', event.apiVersion],
          ['Client', event.userAgent],
          ['MQTT client id', event.clientId],
          ['Hub', event.hub ?? event.assignedHub],
          ['Device id at the hub', event.deviceId],
          ['Fault', event.fault],
          ['Met at', event.at],
          ['Webhook', event.url],
          ['Took', event.tookMs === undefined ? '' : duration(event.tookMs / 1000)],
          ['Key sent in', event.exposed?.join(', ')],
        ]}
      />
      {event.token && <TokenPart token={event.token} />}
      {(event.certificates || event.missingIssuer !== undefined) && <Chain event={event} />}
      {event.packets && <Packets packets={event.packets} />}
      <Body title="Request" value={event.request} />
      <Body title="Reply" value={event.reply} />
      {event.connection && (
        <Part title={`Connection ${event.connection.id}`}>
          <Facts
            facts={[
              ['Address', event.connection.peer],
              ['TLS', event.connection.tlsVersion],
              ['Cipher suite', event.connection.cipherSuite],
              ['Name asked for (SNI)', event.connection.serverName],
            ]}
          />
        </Part>
      )}
      <details>
        <summary>The event as JSON</summary>
        <pre tabIndex={0}>{json(event)}</pre>
      </details>
    </aside>
  );
}

function Part({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section>
      <h3>{title}</h3>
      {children}
    </section>
  );
}

/** Why something was refused, in words, and what to do about it. */
function Reason({ event, reason }: { event: Event; reason: string }) {
  const advice = adviceFor(reason);
  return (
    <div class={`reason ${toneOf(event)}`}>
      <p><b>{reason}</b>: <Sent text={event.message} /></p>
      {advice !== undefined && <p>{advice}</p>}
    </div>
  );
}

function waited(event: Event): string {
  if (event.waitedMs === undefined) return '';
  const early = event.earlyByMs ? `, ${duration(event.earlyByMs / 1000)} too early` : '';
  return `${duration(event.waitedMs / 1000)}${early}`;
}

function TokenPart({ token }: { token: Token }) {
  const expired = token.expiresInSeconds < 0;
  return (
    <Part title="Token">
      <Facts
        facts={[
          ['Resource (sr)', token.resource],
          ['Expiry (se)', `${date(token.expiresUtc)}, ${duration(token.expiresInSeconds)} ${expired ? 'before' : 'after'} it arrived`],
          ['Key name (skn)', token.keyName === '' ? 'not sent' : token.keyName],
          ['Signed with', signedBy(token)],
        ]}
      />
    </Part>
  );
}

/** The chain, the device's own certificate first, and the link that is missing in it. */
function Chain({ event }: { event: Event }) {
  const { certificates = [], missingIssuer } = event;
  return (
    <Part title="Certificates that the client presented">
      <ol class="chain">
        {certificates.map((certificate, index) => <Link key={index} certificate={certificate} index={index} />)}
        {missingIssuer !== undefined && (
          <li class="missing">
            <b>Missing or not verified: <Sent text={missingIssuer} /></b>
          </li>
        )}
      </ol>
    </Part>
  );
}

function Link({ certificate, index }: { certificate: Certificate; index: number }) {
  const { notBeforeUtc, notAfterUtc } = certificate;
  return (
    <li>
      <b><Sent text={certificate.subjectName} /></b> {index === 0 && '(the device’s own)'}
      <Facts
        facts={[
          ['Issuer', certificate.issuerName],
          ['Valid', notBeforeUtc && notAfterUtc ? `${date(notBeforeUtc)} to ${date(notAfterUtc)}` : ''],
          ['SHA-256', certificate.sha256Thumbprint],
        ]}
      />
    </li>
  );
}

function Packets({ packets }: { packets: Packet[] }) {
  return (
    <Part title="MQTT packets">
      <div class="scroll" tabIndex={0} role="region" aria-label="MQTT packets">
        <table>
          <thead>
            <tr><th>Time</th><th>From</th><th>Packet</th><th>Bytes</th><th>Topic</th></tr>
          </thead>
          <tbody>
            {packets.map((packet, index) => (
              <tr key={index}>
                <td>{timeOfDay(packet.timestampUtc)}</td>
                <td>{packet.from}</td>
                <td>{packet.packet}{packet.packetId === undefined ? '' : ` ${packet.packetId}`}</td>
                <td>{packet.bytes}</td>
                <td><Sent text={packet.topic} />{packet.qos === undefined ? '' : ` (QoS ${packet.qos})`}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Part>
  );
}

function Body({ title, value }: { title: string; value: unknown }) {
  if (value === undefined) return null;
  return <Part title={title}><pre tabIndex={0}>{json(value)}</pre></Part>;
}
