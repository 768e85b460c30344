"""While a name server does not answer, a call ends at its timeout, and immediately on Ctrl-C and cancellation."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from dps_client.emulator import Emulator

SOURCE = Path(__file__).parents[3] / "dps-client" / "tests" / "stalled-resolver" / "getaddrinfo.c"
MARGIN = float(os.environ.get("DPS_STALLED_MARGIN_MS", "25000")) / 1000
"""How long a call may take beyond its limit: enough for a busy computer, less than the resolver's timeout."""

PROGRAM = """
import asyncio, signal, sys, threading, time
from dps_client import AsyncProvisioningClient, DpsError, ProvisioningClient, SymmetricKey

kind, transport, ca = sys.argv[1:]
signal.signal(signal.SIGINT, signal.default_int_handler)
arguments = dict(
    id_scope="0ne00A1B2C3",
    registration_id="dev-01",
    attestation=SymmetricKey("Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="),
    endpoint="dps.stalled.test",
    transport=transport,
    ca_file=ca,
    proxy=False,
    timeout=2.0 if kind in ("sync", "async") else 3600.0,
)
began = time.monotonic()
said = ""
try:
    if kind == "sync":
        ProvisioningClient(**arguments).register()
    elif kind == "async":
        asyncio.run(AsyncProvisioningClient(**arguments).register())
    elif kind == "ctrl-c":
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        ProvisioningClient(**arguments).register()
    else:
        async def cancelled():
            await asyncio.wait_for(AsyncProvisioningClient(**arguments).register(), 0.5)
        asyncio.run(cancelled())
except DpsError as error:
    said = f"{error.name} {error.hints[0].name} {error}"
except (KeyboardInterrupt, TimeoutError, asyncio.TimeoutError) as error:
    said = type(error).__name__
print(f"{time.monotonic() - began:.2f} {said}", flush=True)
"""


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    library = tmp_path_factory.mktemp("resolver") / "stalled.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"], check=True)
    return library


def run(resolver: Path, ca: str, kind: str, transport: str) -> tuple[float, str]:
    environment = {**os.environ, "LD_PRELOAD": str(resolver)}
    command = [sys.executable, "-c", PROGRAM, kind, transport, ca]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    took, _, said = done.stdout.strip().partition(" ")
    return float(took), said


@pytest.mark.skipif(sys.platform != "linux", reason="it preloads a library")
@pytest.mark.parametrize("transport", ["https", "mqtt", "mqtt-ws"])
@pytest.mark.parametrize(
    ("kind", "limit", "expected"),
    [
        ("sync", 2.0, "timeout check-dns"),
        ("async", 2.0, "timeout check-dns"),
        ("ctrl-c", 0.5, "KeyboardInterrupt"),
        ("cancelled", 0.5, "TimeoutError"),
    ],
)
def test_call_does_not_wait_for_stalled_resolver(
    dps_emulator: Emulator, resolver: Path, tmp_path: Path, transport: str, kind: str, limit: float, expected: str
) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(dps_emulator.ca_pem)
    took, said = run(resolver, str(ca), kind, transport)
    print(f"stalled resolver: Python, {transport} {kind}: limit {limit} s, took {took} s")
    assert said.startswith(expected), said
    assert kind not in ("sync", "async") or "stalled during name resolution" in said
    assert limit - 0.1 <= took <= limit + MARGIN, took
