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

/// Up to which revision was written, and whether that went well.
#[derive(Clone, Default)]
struct Saved {
    revision: u64,
    error: Option<Arc<StateError>>,
}

pub(super) struct Saver {
    path: PathBuf,
    wanted: watch::Sender<u64>,
    saved: watch::Receiver<Saved>,
}

impl Saver {
    /// The saver, and what has to run beside it once the service is shared.
    pub(super) fn new(state: State) -> (Self, SaverTask) {
        let (wanted, wanted_here) = watch::channel(0);
        let (saved_here, saved) = watch::channel(Saved::default());
        (
            Self { path: state.enrollments_path(), wanted, saved },
            SaverTask { state: Arc::new(state), wanted: wanted_here, saved: saved_here },
        )
    }

    /// Asks for this revision to be written, without waiting.
    pub(super) fn request(&self, revision: u64) {
        self.wanted.send_if_modified(|wanted| {
            let newer = revision > *wanted;
            *wanted = revision.max(*wanted);
            newer
        });
    }

    /// Waits until this revision, or a later one, is on disk.
    pub(super) async fn save(&self, revision: u64) -> Result<(), Arc<StateError>> {
        self.request(revision);
        let mut saved = self.saved.clone();
        match saved.wait_for(|saved| saved.revision >= revision).await {
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
    wanted: watch::Receiver<u64>,
    saved: watch::Sender<Saved>,
}

impl SaverTask {
    pub(super) fn spawn(self, shared: Weak<Shared>) -> JoinHandle<()> {
        tokio::spawn(self.run(shared))
    }

    async fn run(mut self, shared: Weak<Shared>) {
        while self.wanted.changed().await.is_ok() {
            let Some(shared) = shared.upgrade() else { return };
            let (revision, snapshot) = {
                let service = shared.service();
                (service.revision(), service.snapshot())
            };
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
            self.saved.send_replace(Saved { revision, error });
        }
    }
}
