//! From here to an open connection: the proxy, or else name resolution and TCP.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dps_core::{ErrorCode, LinkError};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::budget::Budget;
use super::proxy;
use super::report::{Check, CheckId};
use crate::connection::Connection;

/// How long one address may take. A client waits 0.3 s for it before it tries the next one as well.
const ADDRESS: Duration = Duration::from_secs(5);

/// What the checks of the way found, and the connection at its end.
pub(super) struct Way {
    pub(super) checks: Vec<Check>,
    pub(super) stream: Option<TcpStream>,
}

/// Goes the way that a client goes.
pub(super) async fn reach(connection: &Connection, budget: &Budget) -> Way {
    let chosen = connection.proxy.explain(connection.host());
    match &chosen.proxy {
        Err(error) => Way { checks: with_proxy(proxy::unusable(*error, &chosen.reason)), stream: None },
        Ok(Some(on_the_way)) => {
            let (check, stream) = proxy::through(on_the_way, &chosen.reason, connection, budget).await;
            Way { checks: with_proxy(check), stream }
        }
        Ok(None) => {
            let (dns, addresses) = resolve(connection, budget).await;
            let (tcp, stream, refused) = connect(connection, addresses, budget).await;
            let proxy = if stream.is_some() {
                proxy::not_needed(&chosen.reason)
            } else {
                proxy::missing(&chosen.reason, refused, connection, budget).await
            };
            Way { checks: vec![proxy, dns, tcp], stream }
        }
    }
}

/// A proxy resolves and connects by itself.
fn with_proxy(proxy: Check) -> Vec<Check> {
    let skipped = |id| Check::skipped(id, "a proxy is on the way: this is its part");
    vec![proxy, skipped(CheckId::Dns), skipped(CheckId::Tcp)]
}

async fn resolve(connection: &Connection, budget: &Budget) -> (Check, Vec<IpAddr>) {
    let (id, host, port) = (CheckId::Dns, connection.host(), connection.port());
    if let Ok(address) = host.parse() {
        return (Check::ok(id, format!("{host} is an address")), vec![address]);
    }
    let failed = |why: String| {
        (Check::error(id, format!("{host} cannot be resolved")).seen(why).advise_for(ErrorCode::Dns), Vec::new())
    };
    match budget.bounded(connection.resolver.resolve(host, port)).await {
        Err(late) => failed(late.to_string()),
        Ok(Err(error)) => failed(error.to_string()),
        Ok(Ok(found)) => {
            let mut addresses: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            addresses.dedup();
            let shown: Vec<String> = addresses.iter().map(ToString::to_string).collect();
            let check = Check::ok(id, format!("{host} is at {}", shown.join(", ")));
            let check = match connection.resolver.overridden(host, port) {
                Some(_) => check.seen("named by --resolve"),
                None => check,
            };
            (check.facts(json!({ "addresses": shown })), addresses)
        }
    }
}

/// An attempt at one address.
struct Attempt {
    address: SocketAddr,
    took: Duration,
    result: io::Result<TcpStream>,
}

/// Tries every address; gives the first that answers, and whether all of them said no at once.
async fn connect(connection: &Connection, addresses: Vec<IpAddr>, budget: &Budget) -> (Check, Option<TcpStream>, bool) {
    let (host, port) = (connection.host(), connection.port());
    if addresses.is_empty() {
        return (Check::skipped(CheckId::Tcp, "there is no address to connect to"), None, false);
    }
    let limit = budget.step().min(ADDRESS);
    let attempts = try_all(addresses.into_iter().map(|address| SocketAddr::new(address, port)), limit).await;
    let refused = attempts.iter().all(|attempt| attempt.failed_by(io::ErrorKind::ConnectionRefused));
    let check =
        attempts.iter().fold(judge(&attempts, refused, host, port), |check, attempt| check.seen(attempt.words()));
    let facts = json!({ "attempts": attempts.iter().map(Attempt::facts).collect::<Vec<_>>() });
    let stream = attempts.into_iter().find_map(|attempt| attempt.result.ok());
    (check.facts(facts), stream, refused)
}

fn judge(attempts: &[Attempt], refused: bool, host: &str, port: u16) -> Check {
    let silent = attempts.iter().filter(|attempt| attempt.failed_by(io::ErrorKind::TimedOut)).count();
    let id = CheckId::Tcp;
    if attempts.iter().any(|attempt| attempt.result.is_ok()) {
        return match silent {
            0 => Check::ok(id, format!("port {port} of {host} answers")),
            _ => Check::warning(
                id,
                format!("some addresses of {host} do not answer on port {port}: clients lose time on them"),
            )
            .advise("have the name server leave out addresses that cannot be reached from here"),
        };
    }
    let summary = if refused {
        format!("nothing listens on port {port} of {host}")
    } else if silent == attempts.len() {
        format!("port {port} of {host} does not answer")
    } else {
        format!("no connection to port {port} of {host} can be made")
    };
    Check::error(id, summary).advise_for(ErrorCode::Connect)
}

/// All at once, in the order of the addresses.
async fn try_all(addresses: impl Iterator<Item = SocketAddr>, limit: Duration) -> Vec<Attempt> {
    let mut tries = JoinSet::new();
    for (index, address) in addresses.enumerate() {
        tries.spawn(async move {
            let start = Instant::now();
            let result = timeout(limit, TcpStream::connect(address)).await;
            let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            (index, Attempt { address, took: start.elapsed(), result })
        });
    }
    let mut attempts = tries.join_all().await;
    attempts.sort_by_key(|(index, _)| *index);
    attempts.into_iter().map(|(_, attempt)| attempt).collect()
}

impl Attempt {
    fn failed_by(&self, kind: io::ErrorKind) -> bool {
        self.result.as_ref().is_err_and(|error| error.kind() == kind)
    }

    fn words(&self) -> String {
        let (address, ms) = (self.address, self.took.as_millis());
        match &self.result {
            Ok(_) => format!("{address}: connected in {ms} ms"),
            Err(_) if self.failed_by(io::ErrorKind::TimedOut) => format!("{address}: no answer within {ms} ms"),
            Err(error) => format!("{address}: {error}"),
        }
    }

    fn facts(&self) -> serde_json::Value {
        let error = self.result.as_ref().err().map(|error| {
            let link = dps_net::classify(error).unwrap_or(LinkError::Connect);
            link.code().name()
        });
        json!({ "address": self.address.to_string(), "error": error, "elapsedMs": self.took.as_millis() as u64 })
    }
}
