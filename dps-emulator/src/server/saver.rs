//! Keeps enrollments in the state folder as they change, many changes in one write where they come fast.
//!
//! An admin call is answered only after what it changed is on disk.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::Shared;
use super::error::StateError;
use super::state::State;

/// Up to which request was written, and whether that went well.
#[derive(Clone, Default)]
struct Saved {
    request: u64,
    error: Option<Arc<StateError>>,
}

pub(super) struct Saver {
    path: PathBuf,
    requests: watch::Sender<u64>,
    saved: watch::Receiver<Saved>,
}

impl Saver {
    /// The saver, and what has to run beside it once the service is shared.
    pub(super) fn new(state: State) -> (Self, SaverTask) {
        let (requests, requests_here) = watch::channel(0);
        let (saved_here, saved) = watch::channel(Saved::default());
        let saver = Self { path: state.enrollments_path(), requests, saved };
        (saver, SaverTask { state: Arc::new(state), requests: requests_here, saved: saved_here })
    }

    /// Asks for the service to be written as it is now or later, without waiting; gives the number of the request.
    pub(super) fn request(&self) -> u64 {
        let mut number = 0;
        self.requests.send_modify(|requests| {
            *requests += 1;
            number = *requests;
        });
        number
    }

    /// The same, and waits until it is on disk.
    pub(super) async fn save(&self) -> Result<(), Arc<StateError>> {
        let request = self.request();
        let mut saved = self.saved.clone();
        match saved.wait_for(|saved| saved.request >= request).await {
            Ok(saved) => saved.error.clone().map_or(Ok(()), Err),
            Err(_) => {
                let source = io::Error::other("nothing is kept any more: the emulator is ending");
                Err(Arc::new(StateError::Write { path: self.path.clone(), source }))
            }
        }
    }
}

pub(super) struct SaverTask {
    state: Arc<State>,
    requests: watch::Receiver<u64>,
    saved: watch::Sender<Saved>,
}

impl SaverTask {
    pub(super) fn spawn(self, shared: Weak<Shared>) -> JoinHandle<()> {
        tokio::spawn(self.run(shared))
    }

    async fn run(mut self, shared: Weak<Shared>) {
        while self.requests.changed().await.is_ok() {
            // Seen before the state is read: a later change belongs to a later request.
            let request = *self.requests.borrow_and_update();
            let Some(shared) = shared.upgrade() else { return };
            let snapshot = shared.service().snapshot();
            drop(shared);
            let state = Arc::clone(&self.state);
            let written = tokio::task::spawn_blocking(move || state.keep_enrollments(snapshot)).await;
            let error = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => {
                    tracing::error!(%error, "enrollments were not kept");
                    Some(Arc::new(error))
                }
                Err(_) => return,
            };
            self.saved.send_replace(Saved { request, error });
        }
    }
}
