//! The places of a listener: how many connections are served at a time, and which one makes room for a newcomer.
//!
//! Anybody can open connections without a good credential. So connections that have not proved theirs may hold three
//! quarters of the places at most. Once these are taken, a newcomer displaces the oldest such connection, as soon as
//! that had [`TENURE`] to prove its credential. A proved connection is never displaced.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout_at};

/// How many connections a listener serves at a time.
const PLACES: usize = 1024;
/// How many of them may be unproved.
const UNPROVED_MAX: usize = PLACES / 4 * 3;
/// How long an unproved connection keeps its place although others wait for one: enough for a handshake and a call.
const TENURE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    /// Notified when a place becomes free, or one for an unproved connection.
    freed: Notify,
}

#[derive(Default)]
struct Taken {
    next: u64,
    /// By number, so the oldest first.
    holders: BTreeMap<u64, Holder>,
}

struct Holder {
    since: Instant,
    /// `None` once it is proved. Dropped to displace the connection.
    displace: Option<oneshot::Sender<()>>,
}

/// A connection's place; free once this is dropped.
pub(super) struct Place {
    proof: Proof,
    displaced: oneshot::Receiver<()>,
}

/// Records for a connection's place that its credential was verified.
#[derive(Clone)]
pub(super) struct Proof {
    places: Arc<Places>,
    number: u64,
}

impl Places {
    /// Takes a place for a connection that has arrived, and waits until there is one. Only one newcomer waits at a
    /// time: the others are in the listen queue, in the order of their arrival.
    pub(super) async fn take(self: &Arc<Self>) -> Place {
        loop {
            let until = match self.try_take() {
                Ok(place) => return place,
                Err(until) => until,
            };
            let freed = self.freed.notified();
            match until {
                Some(until) => drop(timeout_at(until, freed).await),
                None => freed.await,
            }
        }
    }

    /// A place, or else the time from which the oldest unproved connection may be displaced, if there is such a one.
    fn try_take(self: &Arc<Self>) -> Result<Place, Option<Instant>> {
        let mut taken = self.lock();
        let unproved = taken.holders.values().filter(|holder| holder.displace.is_some()).count();
        if taken.holders.len() >= PLACES || unproved >= UNPROVED_MAX {
            let mut holders = taken.holders.iter();
            let oldest =
                holders.find(|(_, holder)| holder.displace.is_some()).map(|(number, holder)| (*number, holder.since));
            let (oldest, since) = oldest.ok_or(None)?;
            if since.elapsed() < TENURE {
                return Err(Some(since + TENURE));
            }
            taken.holders.remove(&oldest);
        }
        let (displace, displaced) = oneshot::channel();
        taken.next += 1;
        let number = taken.next;
        taken.holders.insert(number, Holder { since: Instant::now(), displace: Some(displace) });
        Ok(Place { proof: Proof { places: Arc::clone(self), number }, displaced })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    pub(super) fn proof(&self) -> Proof {
        self.proof.clone()
    }

    /// Serves a connection until it ends or is displaced.
    pub(super) async fn hold(mut self, served: impl Future<Output = ()>) {
        let displaced = async {
            // The sender is dropped too when the connection proves its credential.
            let _ = (&mut self.displaced).await;
            if self.proof.is_given() {
                std::future::pending().await
            }
        };
        tokio::select! {
            () = served => {}
            () = displaced => tracing::debug!("an unproved connection made room for another one"),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.proof.places.lock().holders.remove(&self.proof.number);
        self.proof.places.freed.notify_one();
    }
}

impl Proof {
    /// From now on the connection cannot be displaced.
    pub(super) fn give(&self) {
        let displace = self.places.lock().holders.get_mut(&self.number).and_then(|holder| holder.displace.take());
        if displace.is_some() {
            self.places.freed.notify_one();
        }
    }

    fn is_given(&self) -> bool {
        self.places.lock().holders.get(&self.number).is_some_and(|holder| holder.displace.is_none())
    }
}
