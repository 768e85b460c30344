//! A gateway that provisions itself by its `config.toml`, stays connected to its hub, and registers again, as its mode
//! requires, if the hub rejects it.
//!
//! ```text
//! provisioned: dev-01 is assigned to hub-a.test (new)
//! hub-a.test accepts it; tags {"site":"a"}; one message sent
//! (its owner deletes it from hub-a.test and sets the enrollment to hub-b.test)
//! hub-a.test cannot be reached: the hub closed the connection; trying again
//! hub-a.test rejects it; registering again
//! provisioned: dev-01 is assigned to hub-b.test (new)
//! hub-b.test accepts it; tags {"site":"a"}; one message sent
//! ```

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use dps_client::{ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Resolver, Roots};
use dps_edge::policy::{HubWatch, Mode, Policy, Retry, Verdict};
use dps_edge::{BackupStore, EdgeVersion, Format, Origin, Provisioned, Provisioner, read};
use dps_examples::AnyError;
use dps_examples::edge_site::{EdgeSite, HUB_A};
use dps_examples::mqtt_hub::{Gone, Hubs, MQTT_PORT};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

/// Without arguments it starts a local service and two hubs.
#[derive(Parser)]
struct Arguments {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", requires = "state_dir")]
    config: Option<PathBuf>,
    /// The directory of the backup
    #[arg(long, value_name = "DIR", requires = "config")]
    state_dir: Option<PathBuf>,
    /// Trust only the certificate authorities in this file, instead of the system's
    #[arg(long, value_name = "PEM", requires = "config")]
    ca_file: Option<PathBuf>,
    /// Connect to NAME on PORT at this address (repeatable)
    #[arg(long, value_name = "NAME:PORT:ADDR", requires = "config")]
    resolve: Vec<dps_client::AddressOverride>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let arguments = Arguments::parse();
    let (tell, mut events) = unbounded_channel();
    let Some((config, state)) = arguments.config.as_deref().zip(arguments.state_dir.as_deref()) else {
        eprintln!("No configuration is set (see --help); starting a local service.");
        let site = EdgeSite::start(Mode::Dynamic).await?;
        let gateway = Gateway::from_site(&site, tell)?;
        return tokio::select! {
            ended = gateway.run() => ended.map(|never| match never {}),
            shown = show_a_move(&site, &mut events) => shown,
        };
    };
    let roots = match &arguments.ca_file {
        Some(file) => {
            let pem = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
            Roots::replace_pem(&pem)?
        }
        None => Roots::platform(),
    };
    let (proxy, resolver) = (ProxyChoice::Environment, Resolver::new(arguments.resolve.iter().cloned()));
    let hubs = Hubs::new(&roots, proxy.clone(), resolver.clone(), MQTT_PORT, Duration::from_secs(60))?;
    let way = ProvisioningClient::builder().roots(roots).proxy(proxy).resolver(resolver);
    let gateway = Gateway::new(config, state, way, hubs, Retry::default(), tell)?;
    let print = async {
        while let Some(event) = events.recv().await {
            println!("{event}")
        }
    };
    tokio::select! {
        ended = gateway.run() => ended.map(|never| match never {}),
        () = print => Ok(()),
    }
}

/// Prints what happens until the gateway is at its new hub.
async fn show_a_move(site: &EdgeSite, events: &mut UnboundedReceiver<Event>) -> Result<(), AnyError> {
    while let Some(event) = events.recv().await {
        println!("{event}");
        match event {
            Event::Accepted { hub, .. } if hub == HUB_A => {
                println!("(its owner deletes it from {HUB_A} and sets the enrollment to hub-b.test)");
                site.move_device()?;
            }
            Event::Accepted { .. } => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// An event that the gateway reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Provisioned {
        hub: String,
        device_id: String,
        origin: Origin,
    },
    Accepted {
        hub: String,
        tags: String,
    },
    /// The hub rejected the device; `verdict` is what the gateway does about it.
    Rejected {
        hub: String,
        verdict: Verdict,
    },
    Unreachable {
        hub: String,
        why: String,
        verdict: Verdict,
    },
    /// The registration failed; the known hub is tried again.
    NotRegistered {
        why: String,
    },
}

/// A gateway, from its start to the end of the process.
pub(crate) struct Gateway {
    provisioner: Provisioner,
    policy: Policy,
    hubs: Hubs,
    retry: Retry,
    /// The lifetime of a token for the hub. The gateway reconnects before it expires.
    pub(crate) token_life: Duration,
    tell: UnboundedSender<Event>,
}

impl Gateway {
    /// Creates a gateway from its configuration. `way` has the settings that are not in it: roots, proxy, resolver.
    pub(crate) fn new(
        config: &Path,
        state: &Path,
        way: ProvisioningClientBuilder,
        hubs: Hubs,
        retry: Retry,
        tell: UnboundedSender<Event>,
    ) -> Result<Self, AnyError> {
        let text = std::fs::read_to_string(config).map_err(|error| format!("{}: {error}", config.display()))?;
        let reading = read(&text, Format::Toml, EdgeVersion::V1_6);
        let unusable = || format!("{0} is not valid: run dps edge lint {0}", config.display());
        let provisioning = reading.provisioning.ok_or_else(unusable)?;
        let (id_scope, registration_id) = provisioning
            .dps()
            .and_then(|dps| Some((dps.id_scope.clone(), dps.attestation.registration_id()?.to_owned())))
            .ok_or_else(unusable)?;
        let store = BackupStore::in_state_dir(state, Format::Toml, &id_scope, &registration_id)?;
        let (client, policy) = (provisioning.configure(way)?.build()?, provisioning.policy());
        let provisioner = Provisioner::new(client, policy, store);
        Ok(Self { provisioner, policy, hubs, retry, token_life: Duration::from_secs(3600), tell })
    }

    /// Creates the gateway of a local service, with short retry intervals.
    pub(crate) fn from_site(site: &EdgeSite, tell: UnboundedSender<Event>) -> Result<Self, AnyError> {
        let retry = Retry { first: Duration::from_millis(50), longest: Duration::from_millis(400) };
        let way = ProvisioningClient::builder().roots(site.roots()?).proxy(ProxyChoice::Direct);
        Self::new(&site.config(), &site.state_dir(), way, site.hubs()?, retry, tell)
    }

    /// Runs until there is neither an assignment nor a backup.
    pub(crate) async fn run(mut self) -> Result<Infallible, AnyError> {
        let started = self.provisioner.start().await?;
        let mut here = self.settle(started);
        let mut watch = HubWatch::new(self.policy, self.retry, here.origin != Origin::Backup);
        loop {
            let hub = here.identity.hub.clone();
            let verdict = match self.visit(&mut here, &mut watch).await {
                Gone::TokenEnds => continue,
                Gone::Rejected => {
                    let verdict = watch.refused();
                    self.tell(Event::Rejected { hub, verdict });
                    verdict
                }
                Gone::Lost(why) => {
                    let verdict = watch.unreachable();
                    self.tell(Event::Unreachable { hub, why, verdict });
                    verdict
                }
            };
            match verdict {
                Verdict::TryHubAgain { after } | Verdict::NotBeforeRestart { try_hub_after: after } => {
                    sleep(after).await;
                }
                Verdict::Register { after } => {
                    sleep(after).await;
                    match self.provisioner.register().await {
                        Ok(provisioned) => {
                            watch.assigned();
                            here = self.settle(provisioned);
                        }
                        Err(error) => self.tell(Event::NotRegistered { why: error.to_string() }),
                    }
                }
            }
        }
    }

    /// Signs in, reads the tags, sends a message, and stays connected.
    async fn visit(&self, here: &mut Provisioned, watch: &mut HubWatch) -> Gone {
        let hub = &here.identity.hub;
        let accepted = async {
            let mut session = self.hubs.connect(hub, &mut here.credentials).await?;
            watch.connected();
            let tags = session.tags().await?.to_string();
            session.send(r#"{"hello":"hub"}"#).await?;
            self.tell(Event::Accepted { hub: hub.clone(), tags });
            Ok(session)
        };
        match accepted.await {
            Ok(mut session) => session.stay().await,
            Err(gone) => gone,
        }
    }

    /// Reports the assignment and sets the lifetime of its tokens.
    fn settle(&self, mut here: Provisioned) -> Provisioned {
        let (hub, device_id) = (here.identity.hub.clone(), here.identity.device_id.clone());
        self.tell(Event::Provisioned { hub, device_id, origin: here.origin });
        here.credentials = here.credentials.password_life(self.token_life);
        here
    }

    fn tell(&self, event: Event) {
        // An error means that nobody receives the events any more.
        let _ = self.tell.send(event);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provisioned { hub, device_id, origin } => {
                write!(f, "provisioned: {device_id} is assigned to {hub} ({})", origin.name())
            }
            Self::Accepted { hub, tags } => write!(f, "{hub} accepts it; tags {tags}; one message sent"),
            Self::Rejected { hub, verdict } => write!(f, "{hub} rejects it; {}", next(verdict)),
            Self::Unreachable { hub, why, verdict } => write!(f, "{hub} cannot be reached: {why}; {}", next(verdict)),
            Self::NotRegistered { why } => write!(f, "the registration failed: {why}"),
        }
    }
}

fn next(verdict: &Verdict) -> String {
    let (what, after) = match verdict {
        Verdict::TryHubAgain { after } => ("trying again", after),
        Verdict::Register { after } => ("registering again", after),
        Verdict::NotBeforeRestart { try_hub_after } => {
            ("in its mode it registers only at the next start: restart it; until then trying again", try_hub_after)
        }
    };
    if after.as_secs() == 0 { what.to_owned() } else { format!("{what} in {} s", after.as_secs()) }
}
