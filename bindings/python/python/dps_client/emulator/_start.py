"""Where an emulator listens: on free ports, on those of published clients, or as its configuration file says."""

from __future__ import annotations

import contextlib
import errno

from dps_client import _native
from dps_client.emulator import _ports
from dps_client.emulator._devices import Service
from dps_client.emulator._options import EmulatorOptions, listen


def start_configured(closing: contextlib.ExitStack, path: str) -> Service:
    """Starts an emulator from a configuration file; `closing` stops it."""
    native = _native.Emulator.from_config(path)
    closing.callback(native.stop)
    fixed = native.ports() == (_ports.HTTPS_PORT, _ports.MQTT_PORT, _ports.HTTPS_PORT)
    return Service(native, native.host(), fixed_ports=fixed)


def start_anywhere(closing: contextlib.ExitStack, options: EmulatorOptions) -> Service:
    """Starts an emulator on free ports; `closing` stops it."""
    native = listen(options, "127.0.0.1", 0, 0, 0)
    closing.callback(native.stop)
    return Service(native, "localhost", fixed_ports=False)


def start_fixed(closing: contextlib.ExitStack, options: EmulatorOptions) -> Service:
    """Starts an emulator on the ports 443 and 8883 of the first loopback address that has both; `closing` stops it."""
    problem = "every loopback address is used by another emulator"
    for address in _ports.addresses():
        with contextlib.ExitStack() as trying:
            if not trying.enter_context(_ports.locked(address)):
                continue
            try:
                native = listen(options, address, _ports.HTTPS_PORT, _ports.MQTT_PORT, _ports.HTTPS_PORT)
            except OSError as error:
                problem = error.strerror or str(error)
                if error.errno == errno.EADDRINUSE:
                    continue
                break
            trying.callback(native.stop)
            closing.enter_context(trying.pop_all())
            return Service(native, "localhost" if address == "127.0.0.1" else address, fixed_ports=True)
    raise _ports.PortsUnavailable(
        f"the ports 443 and 8883 are not available: {problem}."
        " Without privilege, once: sudo sysctl net.ipv4.ip_unprivileged_port_start=443"
    )
