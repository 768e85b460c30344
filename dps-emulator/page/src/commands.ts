// Commands to copy: how the files are made that a device needs, and how it registers with them.
//
// No command contains a key. Everything that is put into one is checked here, so that nothing in it has a meaning to a shell.

export type Client = 'dps' | 'curl' | 'python' | 'c';
export type Place = 'host' | 'container' | 'board';
export type Transport = 'https' | 'mqtt' | 'mqtt-ws';

export interface Wanted {
  client: Client;
  place: Place;
  transport: Transport;
  idScope: string;
  registrationId: string;
  /** The enrollment group, or empty for an individual enrollment. */
  groupId: string;
  /** The container that the emulator runs in; empty if it runs on this machine. */
  container: string;
  /** Where the device connects: `HOST:PORT`. */
  address: string;
  /** The HTTPS endpoint on this machine, for the owner. */
  owner: string;
  /** Returns the command line that runs a subcommand of `dps emulator` for this emulator. */
  emulatorCommand: (name: 'ca' | 'connection-string') => string;
}

export interface Commands {
  /** Make the files, on this machine. */
  files: string;
  /** Register, where the device is. */
  register: string;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9\-._:]{0,127}$/;
const CONTAINER = /^([A-Za-z0-9][A-Za-z0-9_.-]*)?$/;
const ADDRESS = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/;

/** What is wrong with an input, to be shown instead of commands. */
export function problemOf({ registrationId, groupId, container, address }: Wanted): string | undefined {
  if (!ID.test(registrationId)) return 'Enter a registration id: letters, digits, - . _ and :, a letter or digit first.';
  if (groupId !== '' && !ID.test(groupId)) return 'Enter the id of the group: letters, digits, - . _ and :, a letter or digit first.';
  if (!CONTAINER.test(container)) return 'Enter the name of the container: letters, digits, _ . and -.';
  if (!ADDRESS.test(address)) return 'Enter the address of the emulator as the device sees it, such as 192.0.2.1:8443.';
  return undefined;
}

export function commandsFor(wanted: Wanted): Commands {
  return { files: files(wanted), register: register(wanted) };
}

/** The certificate authority, the owner's connection string, and the key of the device. */
function files({ owner, emulatorCommand, registrationId, groupId }: Wanted): string {
  const asOwner = `--connection-string-file owner --endpoint ${owner} --ca-file ca.pem`;
  const lines = [
    `${emulatorCommand('ca')} > ca.pem`,
    `(umask 077; ${emulatorCommand('connection-string')} > owner)`,
    'rm -f group.key device.key',
  ];
  if (groupId === '') {
    lines.push(`dps enrollment show --registration-id ${registrationId} --key-out device.key \\\n    ${asOwner}`);
  } else {
    lines.push(
      `dps enrollment-group show --group-id ${groupId} --key-out group.key \\\n    ${asOwner}`,
      `dps derive-key --group-key-file group.key --registration-id ${registrationId} --out device.key`,
    );
  }
  return lines.join('\n');
}

function register(wanted: Wanted): string {
  switch (wanted.client) {
    case 'dps':
      return dps(wanted);
    case 'curl':
      return curl(wanted);
    case 'python':
      return python(wanted);
    case 'c':
      return c(wanted);
  }
}

function dps({ idScope, registrationId, address, transport }: Wanted): string {
  return [
    `dps register --id-scope ${idScope} --registration-id ${registrationId} --key-file device.key`,
    `--endpoint ${address} --ca-file ca.pem --transport ${transport}`,
  ].join(' \\\n    ');
}

/** The token is in a file, not in an argument, which other users of the machine could read. */
function curl({ idScope, registrationId, address }: Wanted): string {
  const token = `dps token --id-scope ${idScope} --registration-id ${registrationId} --key-file device.key --ttl 1h`;
  return [
    `(umask 077; printf 'Authorization: %s\\n' "$(${token})" > token.header)`,
    `curl -sS --cacert ca.pem -X PUT -H @token.header -H 'Content-Type: application/json' \\
    --data '{"registrationId":"${registrationId}"}' \\
    'https://${address}/${idScope}/registrations/${registrationId}/register?api-version=2021-06-01'`,
  ].join('\n');
}

function python({ idScope, registrationId, address, transport }: Wanted): string {
  return `cat > register.py <<'END'
from dps_client import ProvisioningClient, SymmetricKey

client = ProvisioningClient(
    id_scope="${idScope}",
    registration_id="${registrationId}",
    attestation=SymmetricKey.from_file("device.key"),
    endpoint="${address}",
    ca_file="ca.pem",
    transport="${transport}",
)
print(client.register().hub)
END
python3 register.py`;
}

const C_TRANSPORT: Record<Transport, string> = {
  https: 'DPS_TRANSPORT_HTTPS',
  mqtt: 'DPS_TRANSPORT_MQTT',
  'mqtt-ws': 'DPS_TRANSPORT_MQTT_WEBSOCKET',
};

function c({ idScope, registrationId, address, transport }: Wanted): string {
  return `cat > register.c <<'END'
#include <dps.h>
#include <stdio.h>

int main(void)
{
    dps_client_config config;
    dps_assignment *assignment = NULL;
    dps_error *error = NULL;

    if (dps_client_config_default(&config) != DPS_OK)
        return 1;
    config.id_scope = DPS_SPAN("${idScope}");
    config.registration_id = DPS_SPAN("${registrationId}");
    config.device_key_file = DPS_SPAN("device.key");
    config.endpoint = DPS_SPAN("${address}");
    config.ca_file = DPS_SPAN("ca.pem");
    config.transport = ${C_TRANSPORT[transport]};
    if (dps_client_register(&config, &assignment, &error) != DPS_OK) {
        fprintf(stderr, "%s\\n", dps_error_text(error));
        dps_error_free(error);
        return 1;
    }
    puts(dps_assignment_hub(assignment));
    dps_assignment_free(assignment);
    return 0;
}
END
cc register.c $(pkg-config --cflags --libs dps) -o register && ./register`;
}
