"""Acceptance of a device's command from Python."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from dps_client.acceptance import accept, scenario_names

DEVICE = [sys.executable, str(Path(__file__).with_name("accept_device.py"))]
# A second or two each.
SHORT = ["registers", "cut-at-poll", "server-error-at-register", "wrong-key", "server-of-another-name"]


def test_well_behaved_device_has_the_full_score() -> None:
    card = accept(DEVICE, only=SHORT, transport="mqtt")
    assert card.score == 100, card
    assert (card.transport, card.credential, card.is_partial) == ("mqtt", "key", True)
    assert [result.name for result in card.scenarios] == [name for name in scenario_names() if name in SHORT]
    assert card.failed == []
    assert (card.required.passed, card.required.applicable) == (len(SHORT), len(SHORT))


def test_device_that_does_nothing_fails_with_a_reason() -> None:
    card = accept([sys.executable, "-c", "print('\\x1b[31m started')"], only=["registers", "tls-1.3"], skip=["tls-1.3"])
    assert (card.score, card.recommended.passed) == (0, 0)
    (failed,) = card.failed
    assert failed.name == "registers" and failed.documents
    assert failed.problem is not None and "nothing of it reached the service" in failed.problem
    assert failed.output is not None and "\\u{1b}[31m started" in failed.output
    assert failed.problem in str(card) and "skipped" in str(card)
    assert card.junit.startswith("<?xml") and 'failures="2"' in card.junit


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="no scenario is named 'registered'"):
        accept(DEVICE, only=["registered"])
    with pytest.raises(TypeError, match="argument 'skip'"):
        accept(DEVICE, skip="registers")
    with pytest.raises(ValueError, match=r"unknown placeholder \{key\}"):
        accept([*DEVICE, "{key}"])
    with pytest.raises(OSError, match="cannot be started"):
        accept(["/no/such/program"], only=["registers"])
    with pytest.raises(ValueError, match="argument 'transport': must be one of https"):
        accept(DEVICE, transport="amqp")  # type: ignore[arg-type]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_interruption_ends_the_run_and_its_command(tmp_path: Path) -> None:
    started = tmp_path / "started"
    # The handler is missing if the parent ignores the signal.
    script = f"""if True:
        import signal, sys
        from dps_client.acceptance import accept
        signal.signal(signal.SIGINT, signal.default_int_handler)
        device = "import os, time; open({str(started)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
        accept([sys.executable, "-c", device], only=["registers"])
    """
    with subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + 60
        while not (started.exists() and started.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        assert run.wait(60) != 0
    while _is_alive(int(started.read_text())):
        assert time.monotonic() < deadline, "the device is still running"
        time.sleep(0.01)


def _is_alive(process: int) -> bool:
    """Returns whether a process runs; one that has ended may not be collected yet."""
    if sys.platform == "linux":
        stat = Path(f"/proc/{process}/stat")
        return stat.exists() and ") Z " not in stat.read_text()
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
