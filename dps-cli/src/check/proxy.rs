//! Which proxy is on the way and whether it lets anybody through; and whether one is missing.

use dps_client::{Proxy, ProxyError};
use dps_core::{ErrorCode, Hint, LinkError};
use dps_net::{NetError, ProxyReason, open_tunnel};
use serde_json::json;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

use super::budget::Budget;
use super::report::{Check, CheckId};
use crate::connection::Connection;

const ID: CheckId = CheckId::Proxy;

/// Variables that other programs go by. This one does not; a proxy in them is worth a try where there is no other way.
const OF_OTHER_PROGRAMS: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];

/// The proxy that is named is none.
pub(super) fn unusable(error: ProxyError, reason: &ProxyReason) -> Check {
    let source = source(reason);
    Check::error(ID, format!("{source}: {error}"))
        .advise(format!("correct {source}, or leave it out"))
        .facts(json!({ "proxy": null, "source": source }))
}

/// Asks the proxy for a way to the service.
pub(super) async fn through(
    proxy: &Proxy,
    reason: &ProxyReason,
    connection: &Connection,
    budget: &Budget,
) -> (Check, Option<TcpStream>) {
    let (host, port) = (connection.host(), connection.port());
    let opened = budget.bounded(open_tunnel(proxy, host, port)).await;
    let (check, stream) = match opened {
        Ok(Ok(stream)) => (Check::ok(ID, format!("{proxy} opens the way to {host}:{port}")), Some(stream)),
        Ok(Err(found)) => (refusal(proxy, reason, &found, connection), None),
        Err(late) => {
            let check = Check::error(ID, format!("the proxy {proxy} does not answer")).seen(late.to_string());
            (check.advise_for(ErrorCode::ProxyUnreachable), None)
        }
    };
    let source = source(reason);
    let facts = json!({ "proxy": proxy.to_string(), "source": source });
    (check.seen(format!("named by {source}")).facts(facts), stream)
}

fn refusal(proxy: &Proxy, reason: &ProxyReason, found: &NetError, connection: &Connection) -> Check {
    let (host, port) = (connection.host(), connection.port());
    let check = match found.kind() {
        LinkError::ProxyRefused { .. } if found.hint() == Some(Hint::ProxyScheme) => {
            Check::error(ID, format!("the proxy {proxy} requires an authentication scheme that is not supported"))
                .advise(Hint::ProxyScheme.text())
        }
        LinkError::ProxyRefused { status: Some(407) } if proxy.credentials().is_some() => {
            Check::error(ID, format!("the proxy {proxy} refuses the user name or the password"))
                .advise(format!("check the proxy's user name and password in {}", proxy.source()))
        }
        LinkError::ProxyRefused { status: Some(407) } => {
            Check::error(ID, format!("the proxy {proxy} wants a user name and a password")).advise(match reason {
                ProxyReason::Variable(name) => format!("set {name} to http://USER:PASSWORD@HOST:PORT"),
                _ => "give --proxy http://USER@HOST:PORT and --proxy-password-file FILE".to_owned(),
            })
        }
        LinkError::ProxyRefused { status: Some(_) } => {
            Check::error(ID, format!("the proxy {proxy} does not open the way to {host}:{port}"))
                .advise(format!("have the proxy allow CONNECT to {host}:{port}"))
        }
        LinkError::ProxyRefused { status: None } => {
            Check::error(ID, format!("what answers at {proxy} is no HTTP proxy"))
                .advise("give the address of a proxy that is spoken to over http://")
        }
        _ => Check::error(ID, format!("the proxy {proxy} cannot be reached"))
            .advise("check the proxy's address, and whether one is needed here"),
    };
    check.seen(found.detail())
}

/// There is none, and the service was reached.
pub(super) fn not_needed(reason: &ProxyReason) -> Check {
    Check::ok(ID, "none is used, and none is needed").seen(why_none(reason)).facts(no_proxy(reason))
}

/// There is none, and the service was not reached: looks for one that opens the way.
pub(super) async fn missing(reason: &ProxyReason, refused: bool, connection: &Connection, budget: &Budget) -> Check {
    let mut tried = Vec::new();
    for (variable, proxy) in others(reason) {
        let remedy = match reason {
            ProxyReason::Excepted { list, entry } => {
                format!("take {entry} out of {list}, or give --proxy http://{proxy}")
            }
            _ => format!("set HTTPS_PROXY to the proxy of {variable}, or give --proxy http://{proxy}"),
        };
        match budget.bounded(open_tunnel(&proxy, connection.host(), connection.port())).await {
            Ok(Ok(_)) => {
                let summary =
                    format!("a proxy is needed: there is no direct way, and {variable}'s proxy {proxy} opens one");
                return Check::error(ID, summary).seen(why_none(reason)).advise(remedy).facts(no_proxy(reason));
            }
            Ok(Err(found)) => tried.push(format!("{variable}: {found}")),
            Err(late) => tried.push(format!("{variable}: proxy {proxy}: {late}")),
        }
    }
    // A host that says no was reached: that is no sign of a missing proxy.
    let check = if refused && tried.is_empty() {
        Check::ok(ID, "none is used")
    } else {
        Check::warning(ID, "none is used, and there is no direct way: one may be needed here")
            .advise("if this network has a proxy, name it with --proxy or HTTPS_PROXY")
    };
    tried.into_iter().fold(check.seen(why_none(reason)), Check::seen).facts(no_proxy(reason))
}

/// Proxies that the environment names and that are not used.
fn others(reason: &ProxyReason) -> Vec<(&'static str, Proxy)> {
    let excepted: &[&'static str] = match reason {
        ProxyReason::Excepted { .. } => &["HTTPS_PROXY", "https_proxy"],
        _ => &[],
    };
    let named = |variable: &&'static str| {
        let url = Zeroizing::new(std::env::var(variable).ok()?);
        Some((*variable, Proxy::parse(&url).ok()?))
    };
    let mut others: Vec<(&'static str, Proxy)> = excepted.iter().chain(&OF_OTHER_PROGRAMS).filter_map(named).collect();
    others.dedup_by_key(|(_, proxy)| proxy.to_string());
    others
}

fn source(reason: &ProxyReason) -> &'static str {
    match reason {
        ProxyReason::Variable(name) => name,
        _ => "--proxy",
    }
}

fn why_none(reason: &ProxyReason) -> String {
    match reason {
        ProxyReason::Excepted { list, entry } => format!("{list} excepts the host by its entry {entry}"),
        _ => "neither --proxy nor HTTPS_PROXY names one".to_owned(),
    }
}

fn no_proxy(reason: &ProxyReason) -> serde_json::Value {
    let source = match reason {
        ProxyReason::Excepted { list, .. } => Some(*list),
        _ => None,
    };
    json!({ "proxy": null, "source": source })
}
