//! The options of `dps emulator` for its page, and for the addresses that clients are told.

use std::net::IpAddr;

use clap::Args;
use dps_emulator::EmulatorOptions;

use super::options::exclude;
use crate::failure::Result;

/// How the page is served, and which addresses are announced.
#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct UiRunArgs {
    /// The port of the page in a browser; 0, the default, chooses a free one
    #[arg(long, value_name = "N", env = "DPS_EMULATOR_UI_PORT")]
    ui_port: Option<u16>,
    /// Serve no page, whatever the environment says of it
    #[arg(long)]
    no_ui: bool,
    /// The address that the page listens on; beyond loopback it is served over HTTPS. Default: 127.0.0.1
    #[arg(long, value_name = "IP", env = "DPS_EMULATOR_UI_LISTEN")]
    ui_listen: Option<IpAddr>,
    /// A host name by which the page can be opened, besides localhost, 127.0.0.1 and ::1 (repeatable)
    #[arg(long = "ui-host", value_name = "NAME")]
    ui_hosts: Vec<String>,
    /// Serve the page without TLS beyond loopback too, for a container whose port is mapped to loopback of its host
    #[arg(long, env = "DPS_EMULATOR_UI_PLAIN_HTTP")]
    ui_plain_http: bool,
    /// The address that clients are told instead of the listener's, for mapped ports or another name (repeatable). FRONT is
    /// https, mqtt, wss or ui; without it the host is that of all but ui, and the port that of https
    #[arg(long = "announce", value_name = "[FRONT=]HOST[:PORT]", value_delimiter = ',', env = "DPS_EMULATOR_ANNOUNCE")]
    announced: Vec<String>,
}

impl UiRunArgs {
    /// Sets the options of an emulator that these name.
    pub(super) fn apply(&self, mut options: EmulatorOptions) -> Result<EmulatorOptions> {
        if self.no_ui {
            exclude(
                "--no-ui",
                &[
                    ("--ui-port", self.ui_port.is_some(), Some("DPS_EMULATOR_UI_PORT")),
                    ("--ui-listen", self.ui_listen.is_some(), Some("DPS_EMULATOR_UI_LISTEN")),
                    ("--ui-host", !self.ui_hosts.is_empty(), None),
                    ("--ui-plain-http", self.ui_plain_http, Some("DPS_EMULATOR_UI_PLAIN_HTTP")),
                ],
            )?;
            return Ok(self.announce(options.no_ui()));
        }
        if let Some(port) = self.ui_port {
            options = options.ui_port(port);
        }
        if let Some(address) = self.ui_listen {
            options = options.ui_listen(address);
        }
        if self.ui_plain_http {
            options = options.ui_plain_http(true);
        }
        options = self.ui_hosts.iter().fold(options, |options, host| options.ui_host(host));
        Ok(self.announce(options))
    }

    fn announce(&self, options: EmulatorOptions) -> EmulatorOptions {
        self.announced.iter().fold(options, |options, address| options.announce(address))
    }
}
