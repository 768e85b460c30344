//! Connection limits: how many connections a listener serves at a time, and one MQTT connection per client id.
//!
//! Anybody can open connections without a valid credential. So unverified connections hold at most three quarters of a
//! listener's permits. When these are in use, a new connection displaces the oldest unverified one, provided that it
//! has had [`DISPLACE_AFTER`] to have its credential verified. A verified connection is never displaced.
//!
//! A later connection of the same client id closes the earlier one (MQTT 3.1.1, section 3.1.4). CONNECT is accepted
//! with any token of the right shape, so only a verified connection closes another verified one: otherwise anybody
//! could close the connections of other devices.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// How long a connection can last without a verified credential.
pub(super) const VERIFY_WITHIN: Duration = Duration::from_secs(60);

/// How many connections a listener serves at a time.
const CONNECTIONS_MAX: usize = 1024;
/// How many of them may be unverified.
const UNVERIFIED_MAX: usize = CONNECTIONS_MAX / 4 * 3;
/// How long an unverified connection keeps its permit while others wait: enough for a handshake and a call.
const DISPLACE_AFTER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct ConnectionLimiter {
    permits: Mutex<Permits>,
    /// Notified when a permit becomes free, or one for an unverified connection.
    freed: Notify,
}

#[derive(Default)]
struct Permits {
    next: u64,
    /// By number, so the oldest is first.
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    since: Instant,
    /// `None` once the connection is verified. Dropped to displace the connection.
    displace: Option<oneshot::Sender<()>>,
}

/// A connection's permit; released when this is dropped.
pub(super) struct Permit {
    handle: PermitHandle,
    displaced: oneshot::Receiver<()>,
}

/// Marks a connection's permit as verified.
#[derive(Clone)]
pub(super) struct PermitHandle {
    limiter: Arc<ConnectionLimiter>,
    number: u64,
}

impl ConnectionLimiter {
    /// Waits for a permit for a connection that was accepted. Only one connection waits here at a time: the others are
    /// in the listen queue, in the order of their arrival.
    pub(super) async fn acquire(self: &Arc<Self>) -> Permit {
        loop {
            let until = match self.try_acquire() {
                Ok(permit) => return permit,
                Err(until) => until,
            };
            let freed = self.freed.notified();
            match until {
                Some(until) => drop(timeout_at(until, freed).await),
                None => freed.await,
            }
        }
    }

    /// Returns a permit, or else the time from which the oldest unverified connection can be displaced, if there is
    /// one.
    fn try_acquire(self: &Arc<Self>) -> Result<Permit, Option<Instant>> {
        let mut permits = self.lock();
        let unverified = permits.holders.values().filter(|holder| holder.displace.is_some()).count();
        if permits.holders.len() >= CONNECTIONS_MAX || unverified >= UNVERIFIED_MAX {
            let mut holders = permits.holders.iter();
            let oldest =
                holders.find(|(_, holder)| holder.displace.is_some()).map(|(number, holder)| (*number, holder.since));
            let (oldest, since) = oldest.ok_or(None)?;
            if since.elapsed() < DISPLACE_AFTER {
                return Err(Some(since + DISPLACE_AFTER));
            }
            permits.holders.remove(&oldest);
        }
        let (displace, displaced) = oneshot::channel();
        permits.next += 1;
        let number = permits.next;
        permits.holders.insert(number, Holder { since: Instant::now(), displace: Some(displace) });
        Ok(Permit { handle: PermitHandle { limiter: Arc::clone(self), number }, displaced })
    }

    fn lock(&self) -> MutexGuard<'_, Permits> {
        self.permits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    pub(super) fn handle(&self) -> PermitHandle {
        self.handle.clone()
    }

    /// Serves a connection until it ends or is displaced.
    pub(super) async fn hold(mut self, served: impl Future<Output = ()>) {
        let displaced = async {
            // The sender is also dropped when the connection is verified.
            let _ = (&mut self.displaced).await;
            if self.handle.is_verified() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = served => {}
            () = displaced => tracing::debug!("an unverified connection was displaced by another one"),
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.handle.limiter.lock().holders.remove(&self.handle.number);
        self.handle.limiter.freed.notify_one();
    }
}

impl PermitHandle {
    /// From now on the connection cannot be displaced.
    pub(super) fn mark_verified(&self) {
        let displace = self.limiter.lock().holders.get_mut(&self.number).and_then(|holder| holder.displace.take());
        if displace.is_some() {
            self.limiter.freed.notify_one();
        }
    }

    fn is_verified(&self) -> bool {
        self.limiter.lock().holders.get(&self.number).is_some_and(|holder| holder.displace.is_none())
    }
}

/// The connected clients by client id.
#[derive(Default)]
pub(super) struct ClientIds {
    claims: Mutex<Claims>,
}

#[derive(Default)]
struct Claims {
    next: u64,
    by_client: HashMap<String, Owner>,
}

struct Owner {
    number: u64,
    verified: bool,
    /// Dropped when another connection claims the client id.
    _superseded: oneshot::Sender<()>,
}

/// A connection's claim on its client id; released when this is dropped, unless another connection has claimed it.
pub(super) struct ClientIdClaim {
    client_ids: Arc<ClientIds>,
    client: String,
    number: u64,
    superseded: oneshot::Receiver<()>,
}

impl ClientIds {
    /// Claims a client id, which closes an earlier connection of the same client; returns `None` if that one is
    /// verified and this one is not.
    pub(super) fn claim(self: &Arc<Self>, client: String, verified: bool) -> Option<ClientIdClaim> {
        let mut claims = self.lock();
        if !verified && claims.by_client.get(&client).is_some_and(|occupant| occupant.verified) {
            return None;
        }
        let (sender, superseded) = oneshot::channel();
        claims.next += 1;
        let number = claims.next;
        claims.by_client.insert(client.clone(), Owner { number, verified, _superseded: sender });
        drop(claims);
        Some(ClientIdClaim { client_ids: Arc::clone(self), client, number, superseded })
    }

    fn lock(&self) -> MutexGuard<'_, Claims> {
        self.claims.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientIdClaim {
    /// From now on only a verified connection can supersede this one.
    pub(super) fn mark_verified(&self) {
        let mut claims = self.client_ids.lock();
        if let Some(occupant) = claims.by_client.get_mut(&self.client).filter(|claim| claim.number == self.number) {
            occupant.verified = true;
        }
    }

    /// Returns when another connection has claimed the client id.
    pub(super) async fn superseded(&mut self) {
        let _ = (&mut self.superseded).await;
    }
}

impl Drop for ClientIdClaim {
    fn drop(&mut self) {
        let mut claims = self.client_ids.lock();
        if claims.by_client.get(&self.client).is_some_and(|occupant| occupant.number == self.number) {
            claims.by_client.remove(&self.client);
        }
    }
}
