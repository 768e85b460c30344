//! One connection per MQTT client id: a later one closes the earlier one (MQTT 3.1.1, section 3.1.4).

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
    /// Takes the seat of a client, away from an earlier connection of the same client.
    pub(super) fn take(self: &Arc<Self>, client: String) -> Seat {
        let (sender, lost) = oneshot::channel();
        let mut taken = self.lock();
        taken.next += 1;
        let number = taken.next;
        taken.by_client.insert(client.clone(), Occupant { number, _lost: sender });
        drop(taken);
        Seat { seats: Arc::clone(self), client, number, lost }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
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
