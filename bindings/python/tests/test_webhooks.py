"""Custom allocation: enrollments whose webhook chooses the hub, with the example webhook."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dps_client import Assignment, DpsError, ProvisioningClient
from dps_client.emulator import Device, Emulator

EXAMPLE = Path(__file__).parent.parent / "examples" / "allocation_webhook.py"


@pytest.fixture(scope="module")
def webhook() -> Iterator[str]:
    """The URL of the example webhook, served on a free port."""
    spec = importlib.util.spec_from_file_location("allocation_webhook", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.start(0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/api/choose?code=c2VjcmV0"
        server.shutdown()
        thread.join()


def register(device: Device, payload: dict[str, Any]) -> Assignment:
    return ProvisioningClient(**device.client_kwargs(), payload=payload).register()


def test_example_webhook_chooses_the_hub_by_the_payload(webhook: str) -> None:
    with Emulator(hubs=["hub-a.test", "hub-b.test"], assigning=0, retry_after=0) as emulator:
        group = emulator.enroll_group("line-1", webhook=webhook)
        assignment = register(group.device("dev-01"), {"model": "lathe"})
        assert assignment.hub == "hub-b.test"
        assert assignment.payload == {"line": 2}
        device = emulator.enroll("dev-02", webhook=webhook, hubs=["hub-a.test"])
        assert register(device, {"model": "press"}).hub == "hub-a.test"
        entry = device.hub_device
        assert entry is not None and entry.tags == {"model": "press"}


def test_failing_webhook_fails_the_registration(webhook: str) -> None:
    with Emulator(hubs=["hub-a.test"], assigning=0, retry_after=0) as emulator:
        device = emulator.enroll("dev-01", webhook=webhook)
        with pytest.raises(DpsError) as caught:
            register(device, {"model": "lathe"})
        assert caught.value.error_code == 400207
        assert "status code: 400" in str(caught.value)
        assert "c2VjcmV0" not in str(caught.value)


def test_webhook_beyond_loopback_must_be_allowed() -> None:
    with Emulator(assigning=0, retry_after=0) as emulator:
        device = emulator.enroll("dev-01", webhook="http://10.0.0.7/?code=c2VjcmV0")
        with pytest.raises(DpsError, match=r"10\.0\.0\.7 is not on loopback"):
            register(device, {})
    with Emulator(webhook_hosts=["webhook.invalid"], webhook_timeout=30, assigning=0, retry_after=0) as emulator:
        device = emulator.enroll("dev-01", webhook="http://webhook.invalid/?code=c2VjcmV0")
        with pytest.raises(DpsError, match="cannot be resolved"):
            register(device, {})


def test_invalid_webhook_is_refused_without_repeating_it() -> None:
    with Emulator() as emulator:
        with pytest.raises(ValueError, match="https://") as caught:
            emulator.enroll("dev-01", webhook="f.test?code=c2VjcmV0")
        assert "c2VjcmV0" not in str(caught.value)
        with pytest.raises(TypeError, match="webhook"):
            emulator.enroll("dev-01", webhook=7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="certificate authorities for webhooks"):
        Emulator(webhook_roots="no PEM").start()
    with pytest.raises(TypeError, match="webhook_hosts"):
        Emulator(webhook_hosts="localhost")
