//! A gateway that provisions itself by its `config.toml`, stays with its hub, and when the hub turns it away registers
//! again as its mode says.
//!
//! ```text
//! provisioned: dev-01 belongs to hub-a.test (new)
//! hub-a.test lets it in; tags {"site":"a"}; one message sent
//! (its owner deletes it from hub-a.test and has the enrollment lead to hub-b.test)
//! hub-a.test is out of reach: the hub closed the connection; tried again
//! hub-a.test turns it away; asking the provisioning service
//! provisioned: dev-01 belongs to hub-b.test (new)
//! hub-b.test lets it in; tags {"site":"a"}; one message sent
//! ```

use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Parser;
use dps_client::{ProvisioningClient, ProvisioningClientBuilder, ProxyChoice, Resolver, Roots};
use dps_edge::policy::{HubWatch, Mode, Policy, Retry, Verdict};
use dps_edge::{BackupStore, EdgeVersion, Format, Origin, Provisioned, Provisioner, read};
use dps_examples::Told;
use dps_examples::edge_site::{EdgeSite, HUB_A};
use dps_examples::mqtt_hub::{Gone, Hubs, MQTT_PORT};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::sleep;

/// Without arguments it starts a service and two hubs of its own.
#[derive(Parser)]
struct Arguments {
    /// The gateway's configuration
    #[arg(long, value_name = "FILE", requires = "state_dir")]
    config: Option<PathBuf>,
    /// Where the backup is kept
    #[arg(long, value_name = "DIR", requires = "config")]
    state_dir: Option<PathBuf>,
    /// Trust only the certificate authorities in this file, instead of the system's
    #[arg(long, value_name = "PEM", requires = "config")]
    ca_file: Option<PathBuf>,
    /// Take NAME on PORT to be at this address (repeatable)
    #[arg(long, value_name = "NAME:PORT:ADDR", requires = "config")]
    resolve: Vec<dps_client::AddressOverride>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Told> {
    let arguments = Arguments::parse();
    let (tell, mut events) = unbounded_channel();
    let Some((config, state)) = arguments.config.as_deref().zip(arguments.state_dir.as_deref()) else {
        eprintln!("No configuration is named (--help says how), so that a local service is started.");
        let site = EdgeSite::start(Mode::Dynamic).await?;
        let gateway = Gateway::of_site(&site, tell)?;
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
async fn show_a_move(site: &EdgeSite, events: &mut UnboundedReceiver<Event>) -> Result<(), Told> {
    while let Some(event) = events.recv().await {
        println!("{event}");
        match event {
            Event::LetIn { hub, .. } if hub == HUB_A => {
                println!("(its owner deletes it from {HUB_A} and has the enrollment lead to hub-b.test)");
                site.move_device()?;
            }
            Event::LetIn { .. } => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

/// What an owner may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Provisioned {
        hub: String,
        device_id: String,
        origin: Origin,
    },
    LetIn {
        hub: String,
        tags: String,
    },
    /// And what is done about it.
    TurnedAway {
        hub: String,
        verdict: Verdict,
    },
    OutOfReach {
        hub: String,
        why: String,
        verdict: Verdict,
    },
    /// The service gave no assignment; the hub that is known is tried again.
    NotRegistered {
        why: String,
    },
}

/// A gateway from its start to the end of the process.
pub(crate) struct Gateway {
    provisioner: Provisioner,
    policy: Policy,
    hubs: Hubs,
    retry: Retry,
    /// How long a token for the hub is good. The gateway connects anew before its end.
    pub(crate) token_life: Duration,
    tell: UnboundedSender<Event>,
}

impl Gateway {
    /// By its configuration. `way` has what no configuration says: roots, proxy, names.
    pub(crate) fn new(
        config: &Path,
        state: &Path,
        way: ProvisioningClientBuilder,
        hubs: Hubs,
        retry: Retry,
        tell: UnboundedSender<Event>,
    ) -> Result<Self, Told> {
        let text = std::fs::read_to_string(config).map_err(|error| format!("{}: {error}", config.display()))?;
        let reading = read(&text, Format::Toml, EdgeVersion::V1_6);
        let unusable = || format!("{0} cannot be used: dps edge lint {0} says why", config.display());
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

    /// The gateway of a local service, which need not be spared.
    pub(crate) fn of_site(site: &EdgeSite, tell: UnboundedSender<Event>) -> Result<Self, Told> {
        let retry = Retry { first: Duration::from_millis(50), longest: Duration::from_millis(400) };
        let way = ProvisioningClient::builder().roots(site.roots()?).proxy(ProxyChoice::Direct);
        Self::new(&site.config(), &site.state_dir(), way, site.hubs()?, retry, tell)
    }

    /// Ends only when there is neither an assignment nor a backup.
    pub(crate) async fn run(mut self) -> Result<Infallible, Told> {
        let started = self.provisioner.start().await?;
        let mut here = self.settle(started);
        let mut watch = HubWatch::new(self.policy, self.retry, here.origin != Origin::Backup);
        loop {
            let hub = here.identity.hub.clone();
            let verdict = match self.visit(&mut here, &mut watch).await {
                Gone::TokenEnds => continue,
                Gone::TurnedAway => {
                    let verdict = watch.refused();
                    self.tell(Event::TurnedAway { hub, verdict });
                    verdict
                }
                Gone::Lost(why) => {
                    let verdict = watch.unreachable();
                    self.tell(Event::OutOfReach { hub, why, verdict });
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

    /// Signs in, shows what it came for, and stays.
    async fn visit(&self, here: &mut Provisioned, watch: &mut HubWatch) -> Gone {
        let hub = &here.identity.hub;
        let let_in = async {
            let mut session = self.hubs.connect(hub, &mut here.credentials).await?;
            watch.connected();
            let tags = session.tags().await?.to_string();
            session.send(r#"{"hello":"hub"}"#).await?;
            self.tell(Event::LetIn { hub: hub.clone(), tags });
            Ok(session)
        };
        match let_in.await {
            Ok(mut session) => session.stay().await,
            Err(gone) => gone,
        }
    }

    /// Tells where the device belongs now, and gives its tokens their life.
    fn settle(&self, mut here: Provisioned) -> Provisioned {
        let (hub, device_id) = (here.identity.hub.clone(), here.identity.device_id.clone());
        self.tell(Event::Provisioned { hub, device_id, origin: here.origin });
        here.credentials = here.credentials.password_life(self.token_life);
        here
    }

    fn tell(&self, event: Event) {
        // Whoever does not listen any more does not need to know.
        let _ = self.tell.send(event);
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provisioned { hub, device_id, origin } => {
                write!(f, "provisioned: {device_id} belongs to {hub} ({})", origin.name())
            }
            Self::LetIn { hub, tags } => write!(f, "{hub} lets it in; tags {tags}; one message sent"),
            Self::TurnedAway { hub, verdict } => write!(f, "{hub} turns it away; {}", next(verdict)),
            Self::OutOfReach { hub, why, verdict } => write!(f, "{hub} is out of reach: {why}; {}", next(verdict)),
            Self::NotRegistered { why } => write!(f, "the service gave no assignment: {why}"),
        }
    }
}

fn next(verdict: &Verdict) -> String {
    let (what, after) = match verdict {
        Verdict::TryHubAgain { after } => ("tried again", after),
        Verdict::Register { after } => ("asking the provisioning service", after),
        Verdict::NotBeforeRestart { try_hub_after } => {
            ("its mode asks the service at the next start only: restart it; until then tried again", try_hub_after)
        }
    };
    if after.as_secs() == 0 { what.to_owned() } else { format!("{what} in {} s", after.as_secs()) }
}
