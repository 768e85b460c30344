//! Checks the route to an open connection: the proxy, or else name resolution and TCP; and limits the time of each
//! step.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use std::{fmt, io};

use dps_client::{Proxy, ProxyError};
use dps_core::{ErrorCode, Hint, LinkError};
use dps_net::{NetError, ProxyReason, open_tunnel};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use super::report::{Check, CheckId};
use crate::connection::Connection;

/// The longest time of a step, so that one that hangs leaves time for the others.
const STEP_MAX: Duration = Duration::from_secs(10);
/// The longest time for one address. A client waits 0.3 s before it tries the next address as well.
const ADDRESS_MAX: Duration = Duration::from_secs(5);
const PROXY: CheckId = CheckId::Proxy;
/// Variables that other programs use and this one does not. Their proxies are tried when the service cannot be reached.
const OTHER_VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The remaining time of the command.
pub(super) struct Budget {
    end: Instant,
}

/// A step had no result within this time.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepTimeout(Duration);

impl Budget {
    pub(super) fn new(whole: Duration) -> Self {
        Self { end: Instant::now() + whole }
    }

    /// Returns the time limit of the next step; zero after the deadline.
    pub(super) fn step(&self) -> Duration {
        self.left().min(STEP_MAX)
    }

    /// Returns the time until the deadline.
    pub(super) fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Runs a step within its time limit.
    pub(super) async fn bounded<T>(&self, step: impl Future<Output = T>) -> Result<T, StepTimeout> {
        let limit = self.step();
        timeout(limit, step).await.map_err(|_| StepTimeout(limit))
    }
}

impl fmt::Display for StepTimeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_millis() {
            0 => f.write_str("the time limit of --timeout has passed"),
            ms if ms % 1000 == 0 => write!(f, "no response within {} s", ms / 1000),
            ms => write!(f, "no response within {ms} ms"),
        }
    }
}

/// The checks of the route, and the connection if there is one.
pub(super) struct Route {
    pub(super) checks: Vec<Check>,
    pub(super) stream: Option<TcpStream>,
}

/// Connects like a client of this connection.
pub(super) async fn connect(connection: &Connection, budget: &Budget) -> Route {
    let chosen = connection.proxy.explain(connection.host());
    match &chosen.proxy {
        Err(error) => Route { checks: with_proxy(unusable_proxy(*error, &chosen.reason)), stream: None },
        Ok(Some(proxy)) => {
            let (check, stream) = through_proxy(proxy, &chosen.reason, connection, budget).await;
            Route { checks: with_proxy(check), stream }
        }
        Ok(None) => {
            let (dns, addresses) = resolve(connection, budget).await;
            let (tcp, stream, refused) = connect_tcp(connection, addresses, budget).await;
            let proxy = if stream.is_some() {
                no_proxy_needed(&chosen.reason)
            } else {
                missing_proxy(&chosen.reason, refused, connection, budget).await
            };
            Route { checks: vec![proxy, dns, tcp], stream }
        }
    }
}

/// Skips name resolution and TCP, which a proxy does itself.
fn with_proxy(proxy: Check) -> Vec<Check> {
    let skipped = |id| Check::skipped(id, "the proxy does this");
    vec![proxy, skipped(CheckId::Dns), skipped(CheckId::Tcp)]
}

async fn resolve(connection: &Connection, budget: &Budget) -> (Check, Vec<IpAddr>) {
    let (id, host, port) = (CheckId::Dns, connection.host(), connection.port());
    if let Ok(address) = host.parse() {
        return (Check::ok(id, format!("{host} is an IP address")), vec![address]);
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
            let check = Check::ok(id, format!("{host} resolves to {}", shown.join(", ")));
            let check = match connection.resolver.overridden(host, port) {
                Some(_) => check.seen("set by --resolve"),
                None => check,
            };
            (check.facts(json!({ "addresses": shown })), addresses)
        }
    }
}

/// An attempt to connect to one address.
struct Attempt {
    address: SocketAddr,
    took: Duration,
    result: io::Result<TcpStream>,
}

/// Tries every address; returns the first connection, and whether every address refused.
async fn connect_tcp(
    connection: &Connection,
    addresses: Vec<IpAddr>,
    budget: &Budget,
) -> (Check, Option<TcpStream>, bool) {
    let (host, port) = (connection.host(), connection.port());
    if addresses.is_empty() {
        return (Check::skipped(CheckId::Tcp, "there are no addresses to connect to"), None, false);
    }
    let limit = budget.step().min(ADDRESS_MAX);
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
            0 => Check::ok(id, format!("port {port} of {host} accepts connections")),
            _ => {
                Check::warning(id, format!("some addresses of {host} do not respond on port {port} and delay clients"))
                    .advise("remove addresses that cannot be reached from here from the name server")
            }
        };
    }
    let summary = if refused {
        format!("nothing listens on port {port} of {host}")
    } else if silent == attempts.len() {
        format!("port {port} of {host} does not respond")
    } else {
        format!("no connection to port {port} of {host} can be established")
    };
    Check::error(id, summary).advise_for(ErrorCode::Connect)
}

/// Tries all addresses at once and returns the attempts in the order of the addresses.
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
            Err(_) if self.failed_by(io::ErrorKind::TimedOut) => format!("{address}: no response within {ms} ms"),
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

/// Reports a proxy that is not valid.
fn unusable_proxy(error: ProxyError, reason: &ProxyReason) -> Check {
    let source = proxy_source(reason);
    Check::error(PROXY, format!("{source}: {error}"))
        .advise(format!("correct or remove {source}"))
        .facts(json!({ "proxy": null, "source": source }))
}

/// Opens a tunnel to the service through the proxy.
async fn through_proxy(
    proxy: &Proxy,
    reason: &ProxyReason,
    connection: &Connection,
    budget: &Budget,
) -> (Check, Option<TcpStream>) {
    let (host, port) = (connection.host(), connection.port());
    let opened = budget.bounded(open_tunnel(proxy, host, port)).await;
    let (check, stream) = match opened {
        Ok(Ok(stream)) => (Check::ok(PROXY, format!("{proxy} opens a tunnel to {host}:{port}")), Some(stream)),
        Ok(Err(found)) => (proxy_refusal(proxy, reason, &found, connection), None),
        Err(late) => {
            let check = Check::error(PROXY, format!("the proxy {proxy} does not respond")).seen(late.to_string());
            (check.advise_for(ErrorCode::ProxyUnreachable), None)
        }
    };
    let source = proxy_source(reason);
    let facts = json!({ "proxy": proxy.to_string(), "source": source });
    (check.seen(format!("set by {source}")).facts(facts), stream)
}

fn proxy_refusal(proxy: &Proxy, reason: &ProxyReason, found: &NetError, connection: &Connection) -> Check {
    let (host, port) = (connection.host(), connection.port());
    let check = match found.kind() {
        LinkError::ProxyRefused { .. } if found.hint() == Some(Hint::ProxyScheme) => {
            Check::error(PROXY, format!("the proxy {proxy} requires an authentication scheme that is not supported"))
                .advise(Hint::ProxyScheme.text())
        }
        LinkError::ProxyRefused { status: Some(407) } if proxy.credentials().is_some() => {
            Check::error(PROXY, format!("the proxy {proxy} rejects the user name or the password"))
                .advise(format!("check the proxy's user name and password in {}", proxy.source()))
        }
        LinkError::ProxyRefused { status: Some(407) } => {
            Check::error(PROXY, format!("the proxy {proxy} requires a user name and a password")).advise(match reason {
                ProxyReason::Variable(name) => format!("set {name} to http://USER:PASSWORD@HOST:PORT"),
                _ => "use --proxy http://USER@HOST:PORT and --proxy-password-file FILE".to_owned(),
            })
        }
        LinkError::ProxyRefused { status: Some(_) } => {
            Check::error(PROXY, format!("the proxy {proxy} does not open a tunnel to {host}:{port}"))
                .advise(format!("allow CONNECT to {host}:{port} at the proxy"))
        }
        LinkError::ProxyRefused { status: None } => Check::error(PROXY, format!("{proxy} is not an HTTP proxy"))
            .advise("use the address of a proxy that accepts http://"),
        _ => Check::error(PROXY, format!("the proxy {proxy} cannot be reached"))
            .advise("check the proxy's address, and whether one is needed here"),
    };
    check.seen(found.detail())
}

/// Reports that the service was reached without a proxy.
fn no_proxy_needed(reason: &ProxyReason) -> Check {
    Check::ok(PROXY, "no proxy is used, and none is needed").seen(why_none(reason)).facts(no_proxy(reason))
}

/// Reports that the service was not reached without a proxy, and tries other proxies of the environment.
async fn missing_proxy(reason: &ProxyReason, refused: bool, connection: &Connection, budget: &Budget) -> Check {
    let mut tried = Vec::new();
    for (variable, proxy) in other_proxies(reason) {
        let remedy = match reason {
            ProxyReason::Excepted { list, entry } => {
                format!("remove {entry} from {list}, or use --proxy http://{proxy}")
            }
            _ => format!("set HTTPS_PROXY to the proxy of {variable}, or use --proxy http://{proxy}"),
        };
        match budget.bounded(open_tunnel(&proxy, connection.host(), connection.port())).await {
            Ok(Ok(_)) => {
                let summary = format!(
                    "a proxy is needed: the service cannot be reached directly, but through {variable}'s proxy {proxy}"
                );
                return Check::error(PROXY, summary).seen(why_none(reason)).advise(remedy).facts(no_proxy(reason));
            }
            Ok(Err(found)) => tried.push(format!("{variable}: {found}")),
            Err(late) => tried.push(format!("{variable}: proxy {proxy}: {late}")),
        }
    }
    // A host that refuses was reached: that does not indicate a missing proxy.
    let check = if refused && tried.is_empty() {
        Check::ok(PROXY, "no proxy is used")
    } else {
        Check::warning(PROXY, "no proxy is used, and the service cannot be reached directly: a proxy may be needed")
            .advise("if this network has a proxy, set it with --proxy or HTTPS_PROXY")
    };
    tried.into_iter().fold(check.seen(why_none(reason)), Check::seen).facts(no_proxy(reason))
}

/// Returns the proxies of the environment that are not used.
fn other_proxies(reason: &ProxyReason) -> Vec<(&'static str, Proxy)> {
    let excepted: &[&'static str] = match reason {
        ProxyReason::Excepted { .. } => &["HTTPS_PROXY", "https_proxy"],
        _ => &[],
    };
    let named = |variable: &&'static str| {
        let url = Zeroizing::new(std::env::var(variable).ok()?);
        Some((*variable, Proxy::parse(&url).ok()?))
    };
    let mut others: Vec<(&'static str, Proxy)> = excepted.iter().chain(&OTHER_VARIABLES).filter_map(named).collect();
    others.dedup_by_key(|(_, proxy)| proxy.to_string());
    others
}

fn proxy_source(reason: &ProxyReason) -> &'static str {
    match reason {
        ProxyReason::Variable(name) => name,
        _ => "--proxy",
    }
}

fn why_none(reason: &ProxyReason) -> String {
    match reason {
        ProxyReason::Excepted { list, entry } => format!("the entry {entry} of {list} excludes the host"),
        _ => "neither --proxy nor HTTPS_PROXY is set".to_owned(),
    }
}

fn no_proxy(reason: &ProxyReason) -> serde_json::Value {
    let source = match reason {
        ProxyReason::Excepted { list, .. } => Some(*list),
        _ => None,
    };
    json!({ "proxy": null, "source": source })
}
