// The JSON of the emulator, as far as the page shows it: docs/events.schema.json, the service's admin API, and the calls
// of the emulator's own.

export interface Certificate {
  subjectName: string;
  sha256Thumbprint: string;
  sha1Thumbprint?: string;
  issuerName?: string;
  notBeforeUtc?: string;
  notAfterUtc?: string;
  serialNumber?: string;
}

export interface Connection {
  id: number;
  peer?: string;
  tlsVersion?: string;
  cipherSuite?: string;
  serverName?: string;
  clientCertificate?: Certificate;
}

export interface Token {
  resource: string;
  expiresUtc: string;
  expiresInSeconds: number;
  keyName: string;
  signedBy: string;
  keyOf?: string;
}

export interface Packet {
  from: string;
  packet: string;
  timestampUtc: string;
  bytes: number;
  topic?: string;
  qos?: number;
  packetId?: number;
}

export interface Event {
  seq: number;
  timestampUtc: string;
  kind: string;
  transport: string;
  connection?: Connection;
  registrationId?: string;
  reason?: string;
  message?: string;
  call?: string;
  status?: number;
  code?: number;
  trackingId?: string;
  clientId?: string;
  userAgent?: string;
  apiVersion?: string;
  operationId?: string;
  waitToldSeconds?: number;
  waitedMs?: number;
  earlyByMs?: number;
  requestBytes?: number;
  request?: unknown;
  reply?: unknown;
  exposed?: string[];
  token?: Token;
  certificates?: Certificate[];
  missingIssuer?: string;
  packets?: Packet[];
  lastedMs?: number;
  hub?: string;
  deviceId?: string;
  fault?: string;
  at?: string;
  url?: string;
  plainHttp?: boolean;
  tookMs?: number;
  assignedHub?: string;
}

export interface Clock {
  dateTimeUtc: string;
  offsetMs: number;
  scale: number;
}

export interface Hub {
  name: string;
  /** `null` if the hub is not linked any more and still has devices. */
  weight: number | null;
  devices: number;
}

export interface Overview {
  idScope: string;
  version: string;
  /** `HOST:PORT` that devices are told. */
  endpoints: { https: string; mqtt: string | null; wss: string | null };
  /** Whether these are others than those of the listeners. */
  announced: boolean;
  /** The IP address that the emulator listens on. */
  listen: string;
  caSha256: string;
  hubs: Hub[];
  clock: Clock;
  counts: { enrollments: number; enrollmentGroups: number; registrations: number; events: number };
}

/** A device that has an enrollment, has registered, or has tried to. */
export interface DeviceRow {
  registrationId: string;
  enrollment: { kind: 'individual' | 'group'; id: string } | null;
  /** `null` if it has not registered. */
  status: string | null;
  assignedHub: string | null;
  lastUpdated: string | null;
  /** Why its last call was refused. */
  lastReason: string | null;
}

export interface Device extends DeviceRow {
  record: RegistrationState | null;
  definition: Enrollment | null;
  hubDevices: HubDevice[];
  counters: Record<string, number>;
}

export interface RegistrationState {
  registrationId: string;
  createdDateTimeUtc: string;
  lastUpdatedDateTimeUtc: string;
  status: string;
  substatus?: string;
  assignedHub?: string;
  deviceId?: string;
  errorCode?: number;
  errorMessage?: string;
  payload?: unknown;
}

export interface HubDevice {
  hub: string;
  deviceId: string;
  state: string;
  connects: number;
  refused: number;
  twins: number;
  telemetry: number;
  twin?: { tags?: unknown; desired?: unknown };
}

export interface Slots {
  primary?: { certificate?: string; info?: Certificate };
  secondary?: { certificate?: string; info?: Certificate };
}

export interface Attestation {
  type: string;
  symmetricKey?: { primaryKey?: string; secondaryKey?: string };
  x509?: {
    clientCertificates?: Slots;
    signingCertificates?: Slots;
    caReferences?: { primary?: string; secondary?: string };
  };
  tpm?: { endorsementKey: string };
}

/** An individual enrollment or a group. */
export interface Enrollment {
  registrationId?: string;
  enrollmentGroupId?: string;
  deviceId?: string;
  attestation: Attestation;
  capabilities?: { iotEdge: boolean };
  initialTwin?: { tags?: unknown; properties?: { desired?: unknown } };
  provisioningStatus?: string;
  reprovisionPolicy?: { updateHubAssignment: boolean; migrateDeviceData: boolean };
  allocationPolicy?: string;
  iotHubs?: string[];
  customAllocationDefinition?: unknown;
  etag?: string;
  createdDateTimeUtc?: string;
  lastUpdatedDateTimeUtc?: string;
}

export interface Fault {
  registrationId?: string;
  at?: string;
  kind: string;
  times?: number;
  left?: number;
  [member: string]: unknown;
}
