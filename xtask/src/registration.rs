//! Measures one registration as a whole process, of this project and of published clients in the same run: connections,
//! round trips, bytes, CPU time, memory and time.
//!
//! Every client connects through the relay of `benches` to a release build of `dps emulator`. The published clients require
//! the ports 443 and 8883; without these only this project is measured.

use serde_json::Value;

use crate::benches::{build, program, release};
use crate::emulator::Emulator;
use crate::interop::{self, PEERS};
use crate::peers::{self, Peer};
use crate::run::{Outcome, output, read, target_dir};

/// Each client runs so often, in turn; the table shows the median.
const ROUNDS: usize = 5;
/// Milliseconds from one end to the other: a device and a service on one continent.
const LATENCY_MS: &str = "25";
/// The wait, in seconds, that the service asks for while it assigns.
const ASKED: u32 = 1;

/// A client, and the command that runs it.
struct Row {
    name: String,
    over: &'static str,
    listen: String,
    to: String,
    command: Vec<String>,
    /// Of a device of its own: the service counts the requests of each.
    key: String,
    runs: Vec<Value>,
}

pub(crate) fn bench() -> Outcome {
    build(&["-p", "dps-cli", "-p", "dps-benches", "--bins"])?;
    let folder = target_dir().join("bench-registration");
    std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let service = Emulator::start_built(&release("dps"), &folder, &["--retry-after", &ASKED.to_string()])?;
    let mut rows = ours(&service)?;
    match peers::missing() {
        Some(reason) => println!("published clients are left out: {reason}\n"),
        None => rows.extend(published(&service)?),
    }
    for _ in 0..ROUNDS {
        for row in &mut rows {
            row.runs.push(measured(row, &service)?);
        }
    }
    print(&rows);
    Ok(())
}

fn ours(service: &Emulator) -> Result<Vec<Row>, String> {
    let transports: [(&str, &str, &[&str]); 4] = [
        ("https", &service.https, &[]),
        ("mqtt", &service.mqtt, &[]),
        ("mqtt", &service.mqtt, &["--pipelined"]),
        ("mqtt-ws", &service.wss, &[]),
    ];
    let row = |(number, (over, endpoint, more)): (usize, (&'static str, &str, &[&str]))| {
        let device = format!("dps-{number}");
        let words =
            ["register", "--json", "--endpoint", "localhost:{port}", "--transport", over, "--registration-id", &device];
        let service_words = ["--id-scope", &service.id_scope, "--ca-file", &service.ca];
        let mut command = vec![release("dps").display().to_string()];
        command.extend(words.iter().chain(&service_words).chain(more).map(|word| (*word).to_owned()));
        Ok(Row {
            name: if more.is_empty() { "dps" } else { "dps, pipelined" }.to_owned(),
            over,
            listen: "127.0.0.1:0".to_owned(),
            to: address(endpoint),
            command,
            key: enroll(service, &device)?,
            runs: Vec::new(),
        })
    };
    transports.into_iter().enumerate().map(row).collect()
}

fn published(service: &Emulator) -> Result<Vec<Row>, String> {
    let folder = peers::install()?;
    let row = |(number, peer): (usize, &Peer)| {
        let device = format!("peer-{number}");
        let client = interop::client(peer, &folder, &service.id_scope, &device);
        let words = std::iter::once(client.get_program()).chain(client.get_args());
        let (port, to) = match peer.transport {
            "mqtt" => (8883, &service.mqtt),
            "mqtt-ws" => (443, &service.wss),
            _ => (443, &service.https),
        };
        Ok(Row {
            name: format!("{} {}", peer.package, peers::version(peer)?),
            over: peer.transport,
            listen: format!("127.0.0.1:{port}"),
            to: address(to),
            command: words.map(|word| word.to_string_lossy().into_owned()).collect(),
            key: enroll(service, &device)?,
            runs: Vec::new(),
        })
    };
    PEERS.iter().enumerate().map(row).collect()
}

/// Returns the key of a new device.
fn enroll(service: &Emulator, device: &str) -> Result<String, String> {
    read(service.enroll(device)?).map(|key| key.trim().to_owned())
}

/// The relay accepts addresses, not names.
fn address(endpoint: &str) -> String {
    let port = endpoint.rsplit(':').next().unwrap_or_default();
    format!("127.0.0.1:{port}")
}

fn measured(row: &Row, service: &Emulator) -> Result<Value, String> {
    let mut measure = program("measure");
    measure.args([&row.listen, &row.to, LATENCY_MS]).args(&row.command);
    measure.env("DPS_KEY", &row.key).env("NODE_EXTRA_CA_CERTS", &service.ca).env("SSL_CERT_FILE", &service.ca);
    let said = output(&mut measure)?;
    serde_json::from_str(&said).map_err(|error| format!("measure: {error}: {said}"))
}

fn print(rows: &[Row]) {
    println!("one registration, {ROUNDS} runs each, medians; {LATENCY_MS} ms to the service and as much back;");
    println!(
        "own: the time beyond the {ASKED} s asked for and beyond the round trips, of the whole process and, where the"
    );
    println!("client tells it, of the registration alone\n");
    println!(
        "{:<42} {:<8} {:>4} {:>6} {:>6} {:>6} {:>8} {:>9} {:>8} {:>8} {:>10}",
        "client", "over", "TCP", "trips", "up", "down", "CPU ms", "peak MiB", "all ms", "own ms", "alone ms"
    );
    for row in rows {
        let figure = |name: &str| median(row.runs.iter().filter_map(|run| run[name].as_f64()));
        let beyond = |name: &'static str| {
            let own = |run: &Value| Some(run[name].as_f64()? - run["waitedMs"].as_f64()? - f64::from(ASKED) * 1e3);
            median(row.runs.iter().filter_map(own))
        };
        println!(
            "{:<42} {:<8} {:>4} {:>6} {:>6} {:>6} {:>8.1} {:>9.1} {:>8.0} {:>8.1} {:>10}",
            row.name,
            row.over,
            figure("connections"),
            figure("roundTrips"),
            figure("up"),
            figure("down"),
            figure("cpuMs"),
            figure("peakKib") / 1024.0,
            figure("wallMs"),
            beyond("wallMs"),
            Some(beyond("elapsedMs")).filter(|own| own.is_finite()).map_or("-".to_owned(), |own| format!("{own:.1}")),
        );
    }
    let size = std::fs::metadata(release("dps")).map_or(0, |file| file.len());
    println!("\nthe program dps, stripped: {:.1} MB", size as f64 / 1e6);
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
