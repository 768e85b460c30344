//! One connection per MQTT client id: a later one closes the earlier one (MQTT 3.1.1, section 3.1.4).
//!
//! CONNECT is accepted with any token of the right shape. So a connection that proved its credential is closed by one
//! that proved its own, and not by a CONNECT alone: otherwise anybody could close the connections of other devices.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The connected clients by client id.
#[derive(Default)]
pub(super) struct Seats {
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    next: u64,
    by_client: HashMap<String, Occupant>,
}

struct Occupant {
    number: u64,
    proved: bool,
    /// Dropped when another connection takes the seat.
    _lost: oneshot::Sender<()>,
}

/// A client's place. Dropped, it is free, unless another connection has taken it.
pub(super) struct Seat {
    seats: Arc<Seats>,
    client: String,
    number: u64,
    lost: oneshot::Receiver<()>,
}

impl Seats {
    /// Takes the seat of a client, away from an earlier connection of the same client; `None` while that one is proved
    /// and this one is not.
    pub(super) fn take(self: &Arc<Self>, client: String, proved: bool) -> Option<Seat> {
        let mut taken = self.lock();
        if !proved && taken.by_client.get(&client).is_some_and(|occupant| occupant.proved) {
            return None;
        }
        let (sender, lost) = oneshot::channel();
        taken.next += 1;
        let number = taken.next;
        taken.by_client.insert(client.clone(), Occupant { number, proved, _lost: sender });
        drop(taken);
        Some(Seat { seats: Arc::clone(self), client, number, lost })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// From now on the seat is lost only to a connection that proved its credential.
    pub(super) fn prove(&self) {
        let mut taken = self.seats.lock();
        if let Some(occupant) = taken.by_client.get_mut(&self.client).filter(|seat| seat.number == self.number) {
            occupant.proved = true;
        }
    }

    /// Returns when another connection has taken the seat.
    pub(super) async fn lost(&mut self) {
        let _ = (&mut self.lost).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        if taken.by_client.get(&self.client).is_some_and(|occupant| occupant.number == self.number) {
            taken.by_client.remove(&self.client);
        }
    }
}
