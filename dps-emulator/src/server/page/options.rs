//! The options of the page, and of the addresses that clients are told.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::{Map, Value};

use super::super::addresses::{in_authority, split_port};
use super::super::options::{EmulatorOptions, StartError};
use crate::options::check_host;

/// How the page is served.
#[derive(Debug, Clone)]
pub(crate) struct UiOptions {
    pub(crate) listen: IpAddr,
    /// `None` without a page.
    pub(crate) port: Option<u16>,
    /// Names by which it is opened, besides loopback.
    pub(crate) hosts: Vec<String>,
    pub(crate) plain_http: bool,
}

impl Default for UiOptions {
    fn default() -> Self {
        Self { listen: IpAddr::V4(Ipv4Addr::LOCALHOST), port: None, hosts: Vec::new(), plain_http: false }
    }
}

impl UiOptions {
    /// `http` on loopback, where browsers trust it; beyond it only on request.
    pub(in super::super) fn scheme(&self) -> &'static str {
        if self.listen.is_loopback() || self.plain_http { "http" } else { "https" }
    }

    pub(in super::super) fn check(&self) -> Result<(), StartError> {
        let is_name = |name: &str| check_host(name).is_ok() && matches!(split_port(name), Some((_, None)));
        match self.hosts.iter().find(|name| !is_name(&in_authority(name))) {
            Some(name) => Err(StartError::HostName(name.clone())),
            None => Ok(()),
        }
    }

    /// The hosts that were named, and the address itself where it is one: an address is not resolved by anybody.
    pub(in super::super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.hosts.iter().map(|name| in_authority(name)).collect();
        if self.port.is_some() && !self.listen.is_unspecified() {
            names.push(in_authority(&self.listen.to_string()));
        }
        names
    }
}

impl EmulatorOptions {
    /// Serves a page that shows what happens, on this port; 0 chooses a free one. Off by default. See
    /// [`Emulator::page_link`](crate::Emulator::page_link).
    #[must_use]
    pub fn ui_port(mut self, port: u16) -> Self {
        self.ui.port = Some(port);
        self
    }

    /// Serves no page, for a configuration that has one.
    #[must_use]
    pub fn no_ui(mut self) -> Self {
        self.ui.port = None;
        self
    }

    /// The address that the page listens on. Default `127.0.0.1`. Beyond loopback it is served over HTTPS under the emulator's
    /// CA, unless [`ui_plain_http`](Self::ui_plain_http) is set.
    #[must_use]
    pub fn ui_listen(mut self, address: IpAddr) -> Self {
        self.ui.listen = address;
        self
    }

    /// A host name by which the page can be opened, besides `localhost`, `127.0.0.1`, `[::1]` and the address that it listens
    /// on. Repeatable. Requests by another name are refused, since a name that others control may lead to this machine (DNS
    /// rebinding).
    #[must_use]
    pub fn ui_host(mut self, name: impl Into<String>) -> Self {
        self.ui.hosts.push(name.into());
        self
    }

    /// Serves the page over plain HTTP beyond loopback too, for a container whose port is mapped to loopback of its host.
    /// Whoever can read that traffic can use the session.
    #[must_use]
    pub fn ui_plain_http(mut self, plain: bool) -> Self {
        self.ui.plain_http = plain;
        self
    }

    /// The address that clients are told instead of the listener's, as `[FRONT=]HOST[:PORT]`: for mapped ports, or another name.
    /// Repeatable. `FRONT` is `https`, `mqtt`, `wss` or `ui`; without it the host applies to `https`, `mqtt` and `wss`, and the
    /// port to HTTPS and what shares its port. Endpoints, connection string and certificate follow it.
    ///
    /// ```
    /// use dps_emulator::EmulatorOptions;
    ///
    /// let options = EmulatorOptions::new().announce("192.0.2.7:9443").announce("mqtt=192.0.2.7:9883");
    /// ```
    #[must_use]
    pub fn announce(mut self, address: impl Into<String>) -> Self {
        self.announced.push(address.into());
        self
    }

    /// Whether the page is served over plain HTTP beyond loopback, which is worth a warning.
    #[must_use]
    pub fn ui_is_exposed(&self) -> bool {
        self.ui.port.is_some() && !self.ui.listen.is_loopback() && self.ui.plain_http
    }

    /// The options that differ from their defaults, as a configuration has them.
    pub(in super::super) fn page_members(&self) -> Map<String, Value> {
        let (set, usual) = (&self.ui, UiOptions::default());
        let mut members = Map::new();
        let mut put = |name: &str, value: Value, usual: Value| {
            if value != usual {
                members.insert(name.into(), value);
            }
        };
        put("announce", self.announced.clone().into(), Value::Array(Vec::new()));
        // A configuration has a page unless it says otherwise.
        put("uiPort", set.port.map_or(Value::from(false), Value::from), 0.into());
        put("uiListen", set.listen.to_string().into(), usual.listen.to_string().into());
        put("uiHosts", set.hosts.clone().into(), Value::Array(Vec::new()));
        put("uiPlainHttp", set.plain_http.into(), false.into());
        members
    }
}
