//! The fault matrix over real sockets: every row over every transport, a client of the product against an emulator of
//! its own, many at a time. Rows, expectations and the comparison are those of virtual time.

mod report;
mod sockets;

use std::sync::Arc;

use pair::matrix::{Row, Transport, rehearse, rows};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use report::{Line, Report};

/// So many rows at a time: most of a row is waiting, and too many handshakes at once would make others wait.
const AT_ONCE: usize = 32;
/// From one side to the other in virtual time, in milliseconds.
const LATENCY: u64 = 1;

/// Runs every row, over sockets and in virtual time.
///
/// # Panics
/// When an emulator cannot be started, or a client cannot be made.
pub async fn run() -> Report {
    let (mut running, room) = (JoinSet::new(), Arc::new(Semaphore::new(AT_ONCE)));
    let mut number = 0;
    for row in rows().into_iter().map(Arc::new) {
        for transport in row.transports.clone() {
            let (row, room) = (Arc::clone(&row), Arc::clone(&room));
            running.spawn(async move {
                let _place = room.acquire_owned().await;
                (number, line(row, transport).await)
            });
            number += 1;
        }
    }
    let mut lines = running.join_all().await;
    lines.sort_by_key(|(number, _)| *number);
    Report { lines: lines.into_iter().map(|(_, line)| line).collect() }
}

async fn line(row: Arc<Row>, transport: Transport) -> Line {
    let sockets = sockets::run(&row, transport).await;
    let rehearsed = rehearse(&row, transport, LATENCY);
    Line { row, transport, sockets, rehearsed }
}
