//! The fault matrix over real sockets: every row over every transport, many at a time, the Rust client or a program in
//! another language against an emulator. Rows, expectations and the comparison are those of virtual time.

mod certificate;
mod floods;
mod ours;
mod program;
mod proxy;
mod report;
mod sockets;

use std::sync::Arc;

use dps_client::dps_core::{ErrorCode, Hint, Verdict};
use dps_emulator::Emulator;
use pair::matrix::{Row, Transport, rehearse, rows};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use floods::{Flooded, floods};
pub use report::{Line, Report};
use sockets::Scene;

/// The client under test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Client {
    /// The Rust client, in this process.
    Ours,
    /// A program in another language, run once a call.
    Program(std::path::PathBuf),
}

/// The failure of a call: the error, its verdict and first hint.
type Failure = (ErrorCode, Verdict, Option<Hint>);

impl Client {
    /// Makes the row's call; through the scene's proxy, if there is one.
    async fn ask(&self, row: &Row, transport: Transport, scene: &Scene) -> Result<(), Failure> {
        match self {
            Self::Ours => ours::ask(row, transport, scene).await,
            Self::Program(program) => program::ask(program, row, transport, scene).await,
        }
    }
}

/// Returns the emulator's endpoint for a transport.
fn endpoint(transport: Transport, emulator: &Emulator) -> String {
    let endpoint = match transport {
        Transport::Https => Some(emulator.endpoint()),
        Transport::Mqtt => emulator.mqtt_endpoint(),
        Transport::MqttWs => emulator.wss_endpoint(),
    };
    endpoint.expect("the emulator supports the transport")
}

/// The number of concurrent rows: most of a row is waiting, but too many handshakes at the same time would delay others.
const AT_ONCE: usize = 32;
/// The number of concurrent rows if each starts a program.
const PROGRAMS_AT_ONCE: usize = 8;
/// How often a row that differs is run again by itself: on a busy computer, many at a time can be too slow for their
/// deadlines.
const TRIES_ALONE: usize = 2;
/// From one side to the other in virtual time, in milliseconds.
const LATENCY: u64 = 1;

/// Runs every row, over sockets and, unless it has a certificate, in virtual time.
///
/// # Panics
/// When an emulator cannot be started, or a client cannot be made.
pub async fn run(client: Client) -> Report {
    let at_once = if client == Client::Ours { AT_ONCE } else { PROGRAMS_AT_ONCE };
    let (mut running, room) = (JoinSet::new(), Arc::new(Semaphore::new(at_once)));
    let (mut number, client) = (0, Arc::new(client));
    for row in rows().into_iter().map(Arc::new) {
        for transport in row.transports.clone() {
            let (row, room, client) = (Arc::clone(&row), Arc::clone(&room), Arc::clone(&client));
            running.spawn(async move {
                let _place = room.acquire_owned().await;
                (number, line(&client, row, transport).await)
            });
            number += 1;
        }
    }
    let mut lines = running.join_all().await;
    lines.sort_by_key(|(number, _)| *number);
    let mut report = Report { lines: lines.into_iter().map(|(_, line)| line).collect(), again: 0 };
    for tried in &mut report.lines {
        for _ in 0..TRIES_ALONE {
            if tried.problem().is_none() {
                break;
            }
            report.again += 1;
            *tried = line(&client, Arc::clone(&tried.row), tried.transport).await;
        }
    }
    report
}

async fn line(client: &Client, row: Arc<Row>, transport: Transport) -> Line {
    let sockets = sockets::run(client, &row, transport).await;
    // Virtual time has no TLS.
    let rehearsed = row.certificate.is_none().then(|| rehearse(&row, transport, LATENCY));
    Line { row, transport, sockets, rehearsed }
}
