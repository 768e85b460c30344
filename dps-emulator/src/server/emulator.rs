//! A running emulator: how it is started, what it tells, how it ends.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::certificate::Authority;
use super::clock::{Clock, machine_unix_ms};
use super::error::{StartError, StateError};
use super::options::EmulatorOptions;
use super::saver::{Saver, SaverTask};
use super::state::State;
use super::{Shared, listener};
use crate::now::Now;
use crate::options::check_host;
use crate::service::{ConnectionString, Service};

/// A provisioning service that listens on HTTPS, until it is shut down or dropped.
pub struct Emulator {
    shared: Arc<Shared>,
    address: SocketAddr,
    id_scope: String,
    ca_pem: String,
    stop: watch::Sender<bool>,
    listener: JoinHandle<()>,
    saver: Option<JoinHandle<()>>,
}

impl Emulator {
    /// Starts one. Has to be called inside of a tokio runtime, with its network and time drivers on.
    ///
    /// # Errors
    /// [`StartError`]: an option, the port, the state folder, or the certificates.
    pub async fn start(options: EmulatorOptions) -> Result<Self, StartError> {
        for name in &options.host_names {
            check_host(name).map_err(|_| StartError::HostName(name.clone()))?;
        }
        // Two draws, since the CA's name is there for everyone to see.
        let (seed, ca_suffix) = (random_bytes::<32>()?, random_bytes::<4>()?);
        let state = options.state_dir.as_deref().map(State::open).transpose()?;
        let now_s = machine_unix_ms() / 1000;
        let authority = match &state {
            Some(state) => state.authority(now_s, ca_suffix)?,
            None => Authority::generate(now_s, ca_suffix)?,
        };
        let tls = authority.server_config(&certificate_names(&options), now_s)?;
        let wanted = SocketAddr::new(options.listen, options.https_port);
        let listen_failed = |source| StartError::Listen { address: wanted, source };
        let socket = TcpListener::bind(wanted).await.map_err(listen_failed)?;
        let address = socket.local_addr().map_err(listen_failed)?;
        let service = make_service(&options, seed, address.port(), state.as_ref())?;
        let id_scope = service.id_scope().to_owned();
        let (saver, saver_task) = state.map(Saver::new).unzip();
        let shared = Arc::new(Shared { service: service.into(), clock: Clock::new(options.clock_offset_ms), saver });
        let (stop, stopped) = watch::channel(false);
        Ok(Self {
            saver: saver_task.map(|task: SaverTask| task.spawn(Arc::downgrade(&shared))),
            listener: tokio::spawn(listener::run(
                socket,
                TlsAcceptor::from(Arc::new(tls)),
                Arc::clone(&shared),
                stopped,
            )),
            id_scope,
            ca_pem: authority.pem().to_owned(),
            shared,
            address,
            stop,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn https_addr(&self) -> SocketAddr {
        self.address
    }

    /// `host:port`, as a device or a service client is given it.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.shared.service().host_name().to_owned()
    }

    /// The certificate that clients have to trust, and nothing else has to.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.ca_pem
    }

    /// The id scope.
    #[must_use]
    pub fn id_scope(&self) -> &str {
        &self.id_scope
    }

    /// What a service client connects with. Holds the policy key.
    #[must_use]
    pub fn connection_string(&self) -> ConnectionString {
        self.shared.service().connection_string()
    }

    /// The service's clocks, as the next request will see them.
    #[must_use]
    pub fn now(&self) -> Now {
        self.shared.clock.now()
    }

    /// Sets the service's wall clock apart from the machine's, from now on.
    pub fn set_clock_offset_ms(&self, offset_ms: i64) {
        self.shared.clock.set_offset_ms(offset_ms);
    }

    /// Reads or changes the service between two requests. The closure must not block: requests wait for it. What it
    /// changes in enrollments is kept in the state folder soon after; [`flush`](Self::flush) waits for that.
    pub fn with_service<R>(&self, change: impl FnOnce(&mut Service) -> R) -> R {
        let mut service = self.shared.service();
        service.advance(self.shared.clock.now());
        let before = service.revision();
        let result = change(&mut service);
        if let Some(saver) = self.shared.saver.as_ref().filter(|_| service.revision() != before) {
            saver.request();
        }
        result
    }

    /// Waits until all enrollments are in the state folder; at once where there is none.
    ///
    /// # Errors
    /// [`StateError::Write`] when they could not be written.
    pub async fn flush(&self) -> Result<(), Arc<StateError>> {
        match &self.shared.saver {
            Some(saver) => saver.save().await,
            None => Ok(()),
        }
    }

    /// Ends it: no new connections, two seconds for what is being answered, then everything is closed, and the
    /// state folder is written and free.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.listener).await;
        // Its error was logged, and given to whoever made the change.
        let _ = self.flush().await;
        if let Some(saver) = self.saver.take() {
            // Awaited, so that the folder is free for the next one.
            saver.abort();
            let _ = saver.await;
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.listener.abort();
        if let Some(saver) = &self.saver {
            saver.abort();
        }
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator").field("address", &self.address).finish_non_exhaustive()
    }
}

fn random_bytes<const N: usize>() -> Result<[u8; N], StartError> {
    let mut bytes = [0; N];
    super::provider().secure_random.fill(&mut bytes).map_err(|_| StartError::Random)?;
    Ok(bytes)
}

fn certificate_names(options: &EmulatorOptions) -> Vec<String> {
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(Into::into).into();
    for name in &options.host_names {
        if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            names.push(name.clone());
        }
    }
    names
}

/// An IPv6 address takes brackets where a port follows.
fn in_authority(name: &str) -> String {
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => name.to_owned(),
    }
}

fn make_service(
    options: &EmulatorOptions,
    seed: [u8; 32],
    port: u16,
    state: Option<&State>,
) -> Result<Service, StartError> {
    let host = options.host_names.first().map_or("localhost", String::as_str);
    let mut service_options = options.service.clone().host_name(format!("{}:{port}", in_authority(host)));
    for name in certificate_names(options) {
        service_options = service_options.also_known_as(in_authority(&name));
    }
    if service_options.seed.is_none() {
        service_options = service_options.entropy(seed);
    }
    let kept = state.map(State::policy_key).transpose()?.flatten();
    if let Some(key) = &kept {
        service_options = service_options.policy_key(key.clone());
    }
    let mut service = Service::new(service_options)?;
    if let Some(state) = state {
        if kept.is_none() {
            state.keep_policy_key(&service.policy_key)?;
        }
        if let Some(snapshot) = state.enrollments()? {
            service.restore(snapshot).map_err(|problem| state.bad_enrollments(problem.message))?;
        }
    }
    Ok(service)
}
