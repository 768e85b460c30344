"""Acceptance of a device's program: it is run through failures of the service and the network, and scored.

In a test: `card = accept(["./our-device", "--server", "{endpoint}"])`, then `assert card.score == 100, card`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from dps_client import _native

__all__ = ["Card", "Credential", "Level", "Outcome", "ScenarioResult", "Tally", "Transport", "accept", "scenario_names"]

Transport = Literal["https", "mqtt", "mqtt-ws"]
"""The transport that a device uses."""
Credential = Literal["key", "x509"]
"""The credential that a device is given."""
Level = Literal["required", "recommended"]
"""Whether a scenario counts for the score."""
Outcome = Literal["passed", "failed", "skipped", "not-applicable"]
"""What became of a scenario."""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many of the scenarios of a level that apply were passed."""

    passed: int
    """How many were passed."""
    applicable: int
    """How many apply to the transport and credential, skipped ones included."""


@dataclass(frozen=True, kw_only=True)
class ScenarioResult:
    """One scenario and its outcome."""

    name: str
    """The name, in lower case with hyphens."""
    about: str
    """What happened, and what the device must do."""
    level: Level
    """Whether it counts for the score."""
    documents: tuple[str, ...]
    """The published documents that the scenario rests on."""
    outcome: Outcome
    """What became of it."""
    problem: str | None
    """What the device did wrong, if it failed."""
    output: str | None
    """The last of the command's output, if it failed; without the device's key."""
    elapsed: timedelta
    """How long it took."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """The result of a run. str() returns it as a table."""

    version: int
    """The version of the set of scenarios. Scores of different versions cannot be compared."""
    transport: Transport
    """The transport that was tested."""
    credential: Credential
    """The credential that was tested."""
    score: int
    """The required scenarios that were passed, in percent of those that apply. Skipped ones count as failed."""
    required: Tally
    """The required scenarios."""
    recommended: Tally
    """The recommended scenarios."""
    is_partial: bool
    """Whether only some scenarios were selected, so that the score is about these alone."""
    elapsed: timedelta
    """How long the run took."""
    scenarios: tuple[ScenarioResult, ...]
    """Every selected scenario."""
    junit: str
    """The card as JUnit XML."""
    _text: str

    @property
    def failed(self) -> list[ScenarioResult]:
        """The scenarios that failed, recommended ones included."""
        return [result for result in self.scenarios if result.outcome == "failed"]

    def __str__(self) -> str:
        """Returns the card as a table, with what was wrong."""
        return self._text


def accept(
    command: Sequence[str | Path],
    *,
    transport: Transport = "https",
    credential: Credential = "key",
    only: Iterable[str] = (),
    skip: Iterable[str] = (),
    jobs: int = 6,
    listen: str = "127.0.0.1",
    host: str = "localhost",
    https_port: int = 0,
    mqtt_port: int = 0,
    wss_port: int = 0,
    id_scope: str | None = None,
) -> Card:
    """Runs a device's command through the scenarios and returns the card. It takes about a minute.

    command is the program and its arguments. It is started for each scenario, and must register once. It learns its
    settings from the environment (DPS_ENDPOINT, DPS_CA_FILE, DPS_ID_SCOPE, DPS_REGISTRATION_ID, DPS_KEY_FILE, ...), or
    from placeholders in the arguments ("{endpoint}", "{caFile}", ...). Only what reached the service counts. skip
    leaves out scenarios, which count as failed; with only, the score is about the selected ones alone. jobs is how many
    scenarios run at a time; with a fixed port it is one.

    Raises ValueError for an unknown scenario or placeholder, OSError if the command cannot be started.
    """
    for name, names in (("only", only), ("skip", skip)):
        if isinstance(names, str):
            raise TypeError(f"argument '{name}': must be an iterable of names, not one string")
    if not 1 <= jobs <= 64:
        raise ValueError(f"argument 'jobs': must be from 1 to 64, not {jobs}")
    text, table, junit = _native.accept(
        command=[str(word) for word in command],
        transport=transport,
        credential=credential,
        only=list(only),
        skip=list(skip),
        jobs=jobs,
        listen=listen,
        host=host,
        ports=(https_port, mqtt_port, wss_port),
        id_scope=id_scope,
    )
    return _card(json.loads(text), table, junit)


def scenario_names() -> list[str]:
    """Returns the names of all scenarios."""
    return _native.acceptance_scenarios()


def _card(card: dict[str, Any], table: str, junit: str) -> Card:
    return Card(
        version=card["version"],
        transport=card["transport"],
        credential=card["credential"],
        score=card["score"],
        required=Tally(**card["required"]),
        recommended=Tally(**card["recommended"]),
        is_partial=card["isPartial"],
        elapsed=timedelta(milliseconds=card["elapsedMs"]),
        scenarios=tuple(_result(result) for result in card["scenarios"]),
        junit=junit,
        _text=table,
    )


def _result(result: dict[str, Any]) -> ScenarioResult:
    return ScenarioResult(
        name=result["name"],
        about=result["about"],
        level=result["level"],
        documents=tuple(result["documents"]),
        outcome=result["outcome"],
        problem=result["problem"],
        output=result["output"],
        elapsed=timedelta(milliseconds=result["elapsedMs"]),
    )
