//! Acceptance: this project's clients pass every scenario of `dps emulator accept`, in every run, and on published clients
//! of others it finds what is known of them. Not a part of `test`, since it takes minutes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::c_tests::{compile, library};
use crate::peers;
use crate::python;
use crate::run::{Outcome, TESTED, arguments, cargo, command, report, root, run, target_dir};

const TRANSPORTS: [&str; 3] = ["https", "mqtt", "mqtt-ws"];

/// A card, as far as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Card {
    score: u64,
    /// The outcome of each scenario, with the problem of one that failed.
    outcomes: BTreeMap<String, Option<String>>,
}

impl Card {
    fn failed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.outcomes.iter().filter_map(|(name, problem)| Some((name.as_str(), problem.as_deref()?)))
    }
}

/// `accept [N]`: each client N times, once if no number is given, over each transport in turn; at least once over each.
pub(crate) fn check() -> Outcome {
    let words = arguments();
    let runs = match words.as_slice() {
        [] => TRANSPORTS.len(),
        [runs] => runs.parse().map_err(|_| format!("{runs} is not a number of runs"))?,
        _ => return Err("one argument at most: the number of runs".into()),
    };
    let dps = program()?;
    let folder = target_dir().join("accept");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let c = compile(&folder, "accept-client", &["accept_client.c"], &[], Some(&library()))?;
    let c = std::path::absolute(c).map_err(|error| error.to_string())?;
    let python = std::path::absolute(python::installed()?.program("python")).map_err(|error| error.to_string())?;
    let text = |path: &PathBuf| path.to_string_lossy().into_owned();
    let register = "register --id-scope {idScope} --registration-id {registrationId} --key-file {keyFile} \
                    --endpoint {endpoint} --ca-file {caFile} --transport {transport}";
    let clients = [
        ("Rust", [text(&dps)].into_iter().chain(register.split_whitespace().map(str::to_owned)).collect()),
        ("C", vec![text(&c)]),
        ("Python", vec![text(&python), text(&root().join("bindings/python/tests/accept_device.py"))]),
    ];
    println!("{:<8} {:<8} {:<4} {:>5} {:>8}", "client", "over", "run", "score", "seconds");
    let problems = std::thread::scope(|scope| {
        let examine = |(name, words): (&'static str, Vec<String>)| {
            let dps = &dps;
            scope.spawn(move || (0..runs).filter_map(|number| one_run(dps, name, &words, number).err()).collect())
        };
        let clients = clients.map(examine);
        clients.map(|client| client.join().unwrap_or_else(|_| vec!["a run panicked".to_owned()])).concat()
    });
    report(&problems)
}

/// Runs every scenario with a client, over one of the transports; a client that is well-behaved passes them all.
fn one_run(dps: &PathBuf, name: &str, words: &[String], number: usize) -> Outcome {
    let transport = TRANSPORTS[number % TRANSPORTS.len()];
    let began = Instant::now();
    let card = examine(dps, &["--transport", transport], words)?;
    let seconds = began.elapsed().as_secs_f32();
    println!("{name:<8} {transport:<8} {:<4} {:>5} {seconds:>8.0}", number + 1, card.score);
    if card.score == 100 && card.failed().next().is_none() {
        return Ok(());
    }
    let failed: Vec<String> = card.failed().map(|(scenario, problem)| format!("{scenario}: {problem}")).collect();
    let (count, first) = (failed.len(), failed[..failed.len().min(3)].join("; "));
    Err(format!("{name} over {transport}, run {}: score {}, {count} failed: {first}", number + 1, card.score))
}

/// A published client, and the scenarios that it is known to fail, with what the problem must contain.
struct Published {
    name: &'static str,
    transport: &'static str,
    command: &'static str,
    /// A loopback address of its own, since its ports are fixed.
    address: &'static str,
    known: &'static [(&'static str, &'static str)],
}

const NODE: &str = "DPS_KEY=$(cat $DPS_KEY_FILE) NODE_EXTRA_CA_CERTS=$DPS_CA_FILE \
                    exec node $PEERS/register.js $PEER $DPS_HOST $DPS_ID_SCOPE $DPS_REGISTRATION_ID";
const PYTHON: &str = "DPS_KEY=$(cat $DPS_KEY_FILE) SSL_CERT_FILE=$DPS_CA_FILE \
                      exec $PEERS/venv/bin/python interop/python/register.py \
                      $DPS_TRANSPORT $DPS_HOST $DPS_ID_SCOPE $DPS_REGISTRATION_ID";

const PUBLISHED: [Published; 3] = [
    Published {
        name: "azure-iot-device (Python)",
        transport: "mqtt",
        command: PYTHON,
        address: "127.0.0.1",
        known: &[
            ("hint-of-the-first-reply", "it sent the next poll after 20"),
            ("not-json-at-register", "neither got its assignment nor ended"),
            ("not-json-at-poll", "neither got its assignment nor ended"),
            ("cut-at-register", "ended without its assignment"),
            ("cut-at-poll", "ended without its assignment"),
        ],
    },
    Published {
        name: "azure-iot-provisioning-device-http (npm)",
        transport: "https",
        command: NODE,
        address: "127.0.0.2",
        known: &[
            ("hint-as-a-date", "more than 5 polls within 10 s"),
            ("throttled-register", "ended without its assignment; its last register call was answered by 429"),
            ("cut-at-poll", "ended without its assignment"),
        ],
    },
    Published {
        name: "azure-iot-provisioning-device-mqtt (npm)",
        transport: "mqtt",
        command: NODE,
        address: "127.0.0.3",
        known: &[],
    },
];

/// `accept-peers`: published clients, each on a loopback address of its own.
pub(crate) fn peers() -> Outcome {
    if let Some(missing) = peers::missing() {
        return Err(missing);
    }
    let (dps, folder) = (program()?, peers::install()?);
    let folder = std::path::absolute(folder).map_err(|error| error.to_string())?;
    let problems = std::thread::scope(|scope| {
        let running = PUBLISHED.each_ref().map(|peer| {
            let (dps, folder) = (&dps, &folder);
            scope.spawn(move || examine_peer(dps, folder, peer))
        });
        running.map(|peer| peer.join().unwrap_or_else(|_| vec!["a run panicked".to_owned()])).concat()
    });
    report(&problems)
}

/// Prints the card of a published client, and returns what is known of it and was not found.
fn examine_peer(dps: &PathBuf, folder: &std::path::Path, peer: &Published) -> Vec<String> {
    let transport = if peer.transport == "https" { "http" } else { peer.transport };
    let script = format!("PEERS={} PEER={transport}; {}", folder.display(), peer.command);
    let words = ["sh", "-c", &script].map(str::to_owned);
    let place = ["--listen", peer.address, "--host", peer.address];
    let ports = ["--https-port", "443", "--wss-port", "443", "--mqtt-port", "8883"];
    let options = [&["--transport", peer.transport][..], &place, &ports].concat();
    let began = Instant::now();
    let card = match examine(dps, &options, &words) {
        Ok(card) => card,
        Err(problem) => return vec![format!("{}: {problem}", peer.name)],
    };
    let failed: String = card.failed().map(|(name, problem)| format!("\n    {name}: {problem}")).collect();
    let seconds = began.elapsed().as_secs();
    println!("{} over {}: score {}, {seconds} s{failed}", peer.name, peer.transport, card.score);
    let is_found = |(name, words): &(&str, &str)| {
        card.failed().any(|(failed, problem)| failed == *name && problem.contains(words))
    };
    let missed = peer.known.iter().filter(|known| !is_found(known));
    missed.map(|(name, words)| format!("{}: {name} did not fail with \"{words}\"", peer.name)).collect()
}

/// The built program.
fn program() -> Result<PathBuf, String> {
    run(cargo(["build", "--quiet", "--lib", "--bins"]).args(TESTED))?;
    let program = target_dir().join("debug/dps");
    std::path::absolute(&program).map_err(|error| format!("{}: {error}", program.display()))
}

/// Runs `dps emulator accept` and returns its card.
fn examine(dps: &PathBuf, options: &[&str], words: &[String]) -> Result<Card, String> {
    let mut accept: Command = command(dps, ["emulator", "accept", "--json", "--at-least", "0"]);
    let ended = accept.args(options).arg("--").args(words).output();
    let ended = ended.map_err(|error| format!("cannot run {}: {error}", dps.display()))?;
    let card: Value = serde_json::from_slice(&ended.stdout).map_err(|error| {
        format!(
            "no card: {error}: {}{}",
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        )
    })?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let scenarios = card["scenarios"].as_array().ok_or_else(|| format!("no card: {card}"))?;
    let outcome = |one: &Value| (text(&one["name"]), one["problem"].as_str().map(str::to_owned));
    Ok(Card { score: card["score"].as_u64().unwrap_or_default(), outcomes: scenarios.iter().map(outcome).collect() })
}
