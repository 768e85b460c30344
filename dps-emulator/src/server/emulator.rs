//! A running emulator: its start, its endpoints, its shutdown.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};

use super::addresses::{Addresses, certificate_names, in_authority};
use super::certificate::Authority;
use super::listener::{self, BoundPorts};
use super::options::{EmulatorOptions, StartError, StateError};
use super::page::{self, Page, PageLink};
use super::public::{Front, Public};
use super::shared::{Shared, machine_unix_ms};
use super::state::{Saver, SaverTask, State};
use super::tls::Handshakes;
use super::webhook_client::WebhookClient;
use super::webhooks;
use crate::activity::Refusal;
use crate::clock::ClockError;
use crate::options::check_host;
use crate::service::{ConnectionString, Service};
use crate::time::Now;

/// A provisioning service that listens for HTTPS, and for MQTT where that is enabled, until it is shut down or dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    https: SocketAddr,
    mqtt: Option<SocketAddr>,
    wss: Option<SocketAddr>,
    addresses: Addresses,
    page: Option<(SocketAddr, Arc<Page>)>,
    id_scope: String,
    ca_pem: String,
    stop: watch::Sender<bool>,
    listeners: Vec<JoinHandle<()>>,
    saver: Option<JoinHandle<()>>,
    webhooks: JoinHandle<()>,
}

impl Emulator {
    /// Starts an emulator. Must be called inside a tokio runtime whose network and time drivers are enabled.
    ///
    /// # Errors
    /// [`StartError`]: an option, the port, the state directory, or the certificates.
    pub async fn start(options: EmulatorOptions) -> Result<Self, StartError> {
        for name in &options.host_names {
            check_host(name).map_err(|_| StartError::HostName(name.clone()))?;
        }
        options.ui.check()?;
        let webhook_client = WebhookClient::new(options.webhooks.clone())?;
        // Drawn separately, since the CA's name is public.
        let (seed, ca_suffix) = (random_bytes::<32>()?, random_bytes::<4>()?);
        let now_s = machine_unix_ms() / 1000;
        let (state_dir, authority) = (options.state_dir.clone(), options.authority.clone());
        let (state, authority) = on_files(move || {
            let state = state_dir.as_deref().map(State::open).transpose()?;
            let authority = match (authority, &state) {
                (Some(pem), _) => Authority::from_pem(&pem.certificate, &pem.key)?,
                (None, Some(state)) => state.authority(now_s, ca_suffix)?,
                (None, None) => Authority::generate(now_s, ca_suffix)?,
            };
            Ok((state, authority))
        })
        .await?;
        let ca_pem = authority.pem().to_owned();
        let ports = BoundPorts::open(&options).await?;
        let addresses = Addresses::new(&options, &ports)?;
        let (https, service_options) = (addresses.https.clone(), options.clone());
        let (service, state) = on_files(move || {
            make_service(&service_options, seed, &https, state.as_ref()).map(|service| (service, state))
        })
        .await?;
        let (id_scope, changed) = (service.id_scope().to_owned(), service.revision() > 0);
        let (saver, saver_task) = state.map(Saver::new).unzip();
        let shared = Arc::new(Shared::new(service, saver, public(&ca_pem, &addresses)));
        let (stop, stopped) = watch::channel(false);
        let tls = Handshakes::new(authority, certificate_names(&options), &shared, options.tls_version)?;
        let listen = |(socket, protocol)| {
            tokio::spawn(listener::run(socket, tls.clone(), protocol, Arc::clone(&shared), stopped.clone()))
        };
        let mut listeners: Vec<JoinHandle<()>> = ports.sockets.into_iter().map(listen).collect();
        let mut page = None;
        if let Some((socket, address)) = ports.page {
            let served = Page::new(&options, address, &addresses, &ca_pem).ok_or(StartError::Random)?;
            let served = Arc::new(served);
            page = Some((address, Arc::clone(&served)));
            shared.service().page_links = Some(page::links(&served));
            let tls = (options.ui.scheme() == "https").then(|| tls.without_request());
            listeners.push(tokio::spawn(page::run(socket, served, tls, Arc::clone(&shared), stopped.clone())));
        }
        if let Some(saver) = shared.saver.as_ref().filter(|_| changed) {
            saver.request();
        }
        Ok(Self {
            saver: saver_task.map(|task: SaverTask| {
                let shared = Arc::downgrade(&shared);
                task.spawn(move || shared.upgrade().map(|shared| shared.service().snapshot()))
            }),
            webhooks: webhooks::start(&shared, webhook_client),
            listeners,
            addresses,
            page,
            id_scope,
            ca_pem,
            https: ports.https,
            mqtt: ports.mqtt,
            wss: ports.wss,
            shared,
            stop,
        })
    }

    /// The address that it listens on for HTTPS.
    #[must_use]
    pub fn https_addr(&self) -> SocketAddr {
        self.https
    }

    /// The address that it listens on for MQTT over TLS, if that is enabled.
    #[must_use]
    pub fn mqtt_addr(&self) -> Option<SocketAddr> {
        self.mqtt
    }

    /// The address that it listens on for MQTT over WebSocket, if that is enabled; that of HTTPS if they share a port.
    #[must_use]
    pub fn wss_addr(&self) -> Option<SocketAddr> {
        self.wss
    }

    /// The address that the page listens on, if there is one.
    #[must_use]
    pub fn page_addr(&self) -> Option<SocketAddr> {
        self.page.as_ref().map(|(address, _)| *address)
    }

    /// Makes a link that opens the page in a browser, once, within ten minutes. `None` if the emulator has no page, or if the operating
    /// system returns no random bytes.
    #[must_use]
    pub fn page_link(&self) -> Option<PageLink> {
        self.page.as_ref().and_then(|(_, page)| page.link())
    }

    /// `host:port` of MQTT over TLS, if that is enabled.
    #[must_use]
    pub fn mqtt_endpoint(&self) -> Option<String> {
        self.addresses.mqtt.clone()
    }

    /// `host:port` of MQTT over WebSocket, if that is enabled.
    #[must_use]
    pub fn wss_endpoint(&self) -> Option<String> {
        self.addresses.wss.clone()
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(super) fn share(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// `host:port` of HTTPS, as devices and service clients are configured with.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.addresses.https.clone()
    }

    /// The CA certificate that clients under test have to trust.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The SHA-256 of the CA certificate (of its DER, as `openssl x509 -fingerprint -sha256` computes it), in hexadecimal
    /// digits: to compare a CA that was fetched without verifying the server.
    #[must_use]
    pub fn ca_sha256(&self) -> String {
        page::sha256_of(&self.ca_pem)
    }

    /// The id scope.
    #[must_use]
    pub fn id_scope(&self) -> &str {
        &self.id_scope
    }

    /// The connection string for service clients. Contains the policy key.
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        self.shared.service().connection_string()
    }

    /// The service's clocks, as the next request will see them.
    #[must_use]
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Sets the offset of the service's date from the machine's, from now on; nothing that waits is affected. To let time
    /// pass, use [`advance_clock`](Self::advance_clock).
    pub fn set_clock_offset_ms(&self, offset_ms: i64) {
        self.shared.clock.service.set_offset_ms(offset_ms);
    }

    /// Lets this time pass at once: the date and everything that waits move on by it. Assignments become due, rate windows
    /// and operations end, tokens and certificates expire. Devices under test have to follow by a clock of their own; the
    /// CA is valid for 90 days.
    ///
    /// # Errors
    /// [`ClockError::TooFar`].
    pub fn advance_clock(&self, time: Duration) -> Result<(), ClockError> {
        self.shared.clock.service.advance_ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    /// Makes whatever waits pass `scale` times as fast from now on, 1 to 1000: assignments, rate windows, the lives of
    /// operations and challenges. Hints are divided by it and rounded up to whole seconds, so that an hour of backoff is a
    /// minute of a test with 60. The date, timeouts of connections and delays by planned faults are not changed.
    ///
    /// # Errors
    /// [`ClockError::Scale`].
    pub fn scale_clock(&self, scale: u32) -> Result<(), ClockError> {
        self.shared.clock.service.set_scale(self.now(), scale)
    }

    /// Returns the configuration that starts an equal emulator: options, hubs, CA certificates, enrollments, groups and
    /// planned faults, with the clock as it is now. It contains no keys, but the names of their files; `show_keys` sets whether
    /// the keys are returned beside it. The CA of TLS, the state directory, registrations and devices in hubs are not part of
    /// it.
    ///
    /// # Errors
    /// [`ExportError::Reply`](crate::ExportError::Reply) if a value cannot be written as TOML.
    #[cfg(feature = "config")]
    pub fn export_config(&self, show_keys: bool) -> Result<crate::ExportedConfig, crate::ExportError> {
        crate::ExportedConfig::new(self.shared.service().export(show_keys))
    }

    /// Reads or changes the service between two requests. The closure must not block, since requests wait for it.
    /// Changes of enrollments are saved in the state directory soon after; [`flush`](Self::flush) waits for that.
    pub fn with_service<R>(&self, change: impl FnOnce(&mut Service) -> R) -> R {
        let mut service = self.shared.service();
        service.advance(self.shared.clock.now());
        let before = service.revision();
        let result = change(&mut service);
        self.shared.call_webhooks(&mut service);
        self.shared.announce(&service);
        if let Some(saver) = self.shared.saver.as_ref().filter(|_| service.revision() != before) {
            saver.request();
        }
        result
    }

    /// Waits until more than `seen` credentials were refused since the start, and returns the later refusals, oldest
    /// first. The service keeps the latest hundred: [`Refusal::number`] shows whether some are missing.
    pub async fn refusals_after(&self, seen: u64) -> Vec<Refusal> {
        let mut refused = self.shared.refused.subscribe();
        // The sender lives as long as `self`.
        let _ = refused.wait_for(|count| *count > seen).await;
        self.shared.service().refusals().filter(|refusal| refusal.number > seen).cloned().collect()
    }

    /// Waits until all enrollments are saved in the state directory; returns at once if there is none.
    ///
    /// # Errors
    /// [`StateError::File`] when they could not be written.
    pub async fn flush(&self) -> Result<(), Arc<StateError>> {
        match &self.shared.saver {
            Some(saver) => saver.save().await,
            None => Ok(()),
        }
    }

    /// Shuts the emulator down: no new connections are accepted, requests in progress have two seconds to finish, then
    /// all connections are closed, and the state directory is written and unlocked.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for listener in &mut self.listeners {
            let _ = listener.await;
        }
        self.webhooks.abort();
        // Its error was logged, and returned to the caller that made the change.
        let _ = self.flush().await;
        if let Some(saver) = self.saver.take() {
            // Awaited, so that the directory is unlocked for the next emulator.
            saver.abort();
            let _ = saver.await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for listener in &self.listeners {
            listener.abort();
        }
        self.webhooks.abort();
        if let Some(saver) = &self.saver {
            saver.abort();
        }
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator")
            .field("https", &self.https)
            .field("mqtt", &self.mqtt)
            .field("wss", &self.wss)
            .finish_non_exhaustive()
    }
}

fn public(ca_pem: &str, addresses: &Addresses) -> Public {
    Public {
        ca_pem: ca_pem.to_owned(),
        https: Front::new(Some(addresses.https.clone())),
        mqtt: Front::new(addresses.mqtt.clone()),
        wss: Front::new(addresses.wss.clone()),
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    crate::x509::provider().secure_random.fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}

/// Runs file operations on a thread for blocking work, so that a slow disk delays nothing else.
async fn on_files<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StartError> + Send + 'static,
) -> Result<T, StartError> {
    match tokio::task::spawn_blocking(work).await.map_err(JoinError::try_into_panic) {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        Err(Err(_)) => Err(StartError::Stopped),
    }
}

fn make_service(
    options: &EmulatorOptions,
    seed: [u8; 32],
    endpoint: &str,
    state: Option<&State>,
) -> Result<Service, StartError> {
    let mut service_options = options.service.clone().host_name(endpoint);
    for name in certificate_names(options) {
        service_options = service_options.also_known_as(in_authority(&name));
    }
    if service_options.seed.is_none() {
        service_options = service_options.entropy(seed);
    } else if service_options.small_seed.is_some() && !options.listen.is_loopback() {
        // Others could guess the keys.
        service_options = service_options.key_entropy(seed);
    }
    let is_set = service_options.policy_key.is_some();
    let kept = state.map(State::policy_key).transpose()?.flatten();
    if let Some(key) = kept.as_ref().filter(|_| !is_set) {
        service_options = service_options.policy_key(key.clone());
    }
    let mut service = Service::new(service_options)?;
    service.clock().set_offset_ms(options.clock_offset_ms);
    service.clock().set_scale(Now::default(), options.clock_scale)?;
    service.listening = options.listening();
    if let Some(state) = state {
        if kept.is_none() && !is_set {
            state.keep_policy_key(&service.policy_key)?;
        }
        if let Some(snapshot) = state.enrollments()? {
            service.restore(snapshot).map_err(|problem| state.bad_enrollments(problem.message))?;
        }
    }
    let now = service.clock().now(Now { monotonic_ms: 0, unix_ms: machine_unix_ms() });
    options.contents.clone().put_into(&mut service, now).map_err(StartError::Contents)?;
    Ok(service)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn seed_makes_keys_on_loopback_only() {
        let policy_key = |listen: Ipv4Addr, entropy: u8| {
            let options = EmulatorOptions::new().listen(listen.into()).service(|service| service.seed(7));
            let service = make_service(&options, [entropy; 32], "localhost:443", None).unwrap();
            service.connection_string().expose().to_owned()
        };
        assert_eq!(policy_key(Ipv4Addr::LOCALHOST, 1), policy_key(Ipv4Addr::LOCALHOST, 2));
        assert_ne!(policy_key(Ipv4Addr::UNSPECIFIED, 1), policy_key(Ipv4Addr::UNSPECIFIED, 2));
    }
}
