//! The addresses that clients are told: those of the listeners, or others that were announced, where ports are mapped or the
//! emulator is reached by another name.

use std::net::{IpAddr, SocketAddr};

use super::listener::BoundPorts;
use super::options::{EmulatorOptions, StartError};
use crate::options::check_host;

/// `host:port` of each front, if it is enabled.
#[derive(Debug, Clone, Default)]
pub(super) struct Addresses {
    pub(super) https: String,
    pub(super) mqtt: Option<String>,
    pub(super) wss: Option<String>,
    /// Of the page, if another address than its listener's was announced.
    pub(super) ui: Option<String>,
}

/// An address that is announced instead of a listener's: `[FRONT=]HOST[:PORT]`.
#[derive(Debug, PartialEq, Eq)]
struct Announcement<'a> {
    /// One front, or `None` for all fronts of the service.
    front: Option<Front>,
    /// The host, in brackets if it is an IPv6 address.
    host: &'a str,
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Front {
    Https,
    Mqtt,
    Wss,
    Ui,
}

impl<'a> Announcement<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (front, address) = match text.split_once('=') {
            Some((name, address)) => (Some(Front::named(name)?), address),
            None => (None, text),
        };
        let (host, port) = split_port(address)?;
        check_host(host).ok()?;
        Some(Self { front, host, port })
    }
}

impl Front {
    fn named(name: &str) -> Option<Self> {
        match name {
            "https" => Some(Self::Https),
            "mqtt" => Some(Self::Mqtt),
            "wss" => Some(Self::Wss),
            "ui" => Some(Self::Ui),
            _ => None,
        }
    }
}

/// Splits `host`, `host:port`, `[address]` or `[address]:port`. Returns `None` if the port is invalid or an IPv6 address has
/// no brackets.
pub(super) fn split_port(address: &str) -> Option<(&str, Option<u16>)> {
    let end =
        if address.starts_with('[') { address.find(']')? + 1 } else { address.find(':').unwrap_or(address.len()) };
    let (host, rest) = address.split_at(end);
    match rest.strip_prefix(':') {
        // `parse` alone would accept a sign.
        Some(port) if port.bytes().all(|digit| digit.is_ascii_digit()) => Some((host, Some(port.parse().ok()?))),
        Some(_) => None,
        None => rest.is_empty().then_some((host, None)),
    }
}

/// Whether this can be announced.
#[cfg(feature = "config")]
pub(crate) fn can_be_announced(text: &str) -> bool {
    Announcement::parse(text).is_some()
}

impl Addresses {
    pub(super) fn new(options: &EmulatorOptions, ports: &BoundPorts) -> Result<Self, StartError> {
        let announced = announcements(options)?;
        let shares_https = ports.wss == Some(ports.https);
        let own_host = in_authority(options.host_names.first().map_or("localhost", String::as_str));
        let last = |wanted: Option<Front>| announced.iter().rev().find(|one| one.front == wanted);
        let address = |front: Front, listener: SocketAddr| {
            let (host, port) = match (last(Some(front)), last(None)) {
                (Some(own), _) => (own.host, own.port),
                (None, Some(all)) => {
                    let is_https = front == Front::Https || (front == Front::Wss && shares_https);
                    (all.host, all.port.filter(|_| is_https))
                }
                (None, None) => (own_host.as_str(), None),
            };
            format!("{host}:{}", port.unwrap_or(listener.port()))
        };
        let ui = ports.page.as_ref().zip(last(Some(Front::Ui)));
        Ok(Self {
            https: address(Front::Https, ports.https),
            mqtt: ports.mqtt.map(|listener| address(Front::Mqtt, listener)),
            wss: ports.wss.map(|listener| address(Front::Wss, listener)),
            ui: ui.map(|((_, listener), _)| address(Front::Ui, *listener)),
        })
    }
}

fn announcements(options: &EmulatorOptions) -> Result<Vec<Announcement<'_>>, StartError> {
    let invalid = |text: &String| StartError::Announced(text.clone());
    options.announced.iter().map(|text| Announcement::parse(text).ok_or_else(|| invalid(text))).collect()
}

/// The names for the certificate: loopback, and those that clients are told or that the page is opened by.
pub(super) fn certificate_names(options: &EmulatorOptions) -> Vec<String> {
    let announced = options.announced.iter().filter_map(|text| Announcement::parse(text));
    let announced = announced.map(|one| without_brackets(one.host).to_owned());
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    let page = options.ui.names().into_iter().map(|name| without_brackets(&name).to_owned());
    for name in options.host_names.iter().cloned().chain(announced).chain(page) {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            names.push(name);
        }
    }
    names
}

fn without_brackets(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// An IPv6 address needs brackets where a port follows.
pub(super) fn in_authority(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn announced_addresses_have_a_host_and_can_have_a_front_and_a_port() {
        let parsed = |text| Announcement::parse(text).map(|one| (one.front, one.host.to_owned(), one.port));
        assert_eq!(parsed("board.test"), Some((None, "board.test".into(), None)));
        assert_eq!(parsed("mqtt=192.0.2.7:9883"), Some((Some(Front::Mqtt), "192.0.2.7".into(), Some(9883))));
        assert_eq!(parsed("[::1]:443"), Some((None, "[::1]".into(), Some(443))));
        for wrong in
            ["", ":443", "a:", "a:x", "a:+1", "a:70000", "::1", "[::1", "[::1]x", "amqp=a", "a b", "a/b:1", "https="]
        {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
