//! What a registration is about to do, for those who watch it and may stop it, and what a restarted device goes on from.

use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use dps_core::internal::{checked, operation_identity};
use dps_core::{ConfigError, Identity, Instant, Operation};

use crate::credentials::CredentialPlace;
use crate::names::{Endpoint, IdScope, RegistrationId};

/// What a registration is about to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A token is being signed.
    Signing,
    /// A request is being sent.
    Sending {
        /// `register`, `status` or `lookup`.
        call: &'static str,
    },
    /// Nothing happens for a while.
    Waiting {
        /// How long.
        wait: Duration,
        /// What to store so that a restarted device resumes instead of registering again, once there is something.
        resume: Option<ResumeToken>,
    },
    /// The service refused a credential, and the next one is tried: see
    /// [`fallback`](crate::ProvisioningClientBuilder::fallback).
    Switching {
        /// The one that was refused.
        refused: CredentialPlace,
        /// The one that is tried now.
        next: CredentialPlace,
    },
}

/// What a watcher may return: nothing, to let the registration go on, or a [`ControlFlow`] that can end it.
pub trait Decision {
    /// Whether the registration goes on.
    fn decide(self) -> ControlFlow<()>;
}

impl Decision for () {
    fn decide(self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl Decision for ControlFlow<()> {
    fn decide(self) -> ControlFlow<()> {
        self
    }
}

/// Observes registrations with `await`s of its own; write `async fn` to implement it. Without `await`, a closure is enough:
/// [`on_progress`](crate::ProvisioningClientBuilder::on_progress).
pub trait ProgressObserver: Send {
    /// Called before each signature, request, wait and change of the credential; the registration goes on once it returns.
    /// [`ControlFlow::Break`] ends it as `cancelled`, before anything is signed or sent.
    ///
    /// Has until the end of the step, which is the request timeout for a signature, a request or a change of the credential: the registration ends
    /// as `observer-timeout` then. The future may be dropped at any await.
    fn observe(&mut self, progress: Progress) -> impl Future<Output = ControlFlow<()>> + Send;
}

/// A [`ProgressObserver`] behind a pointer.
pub(crate) trait DynObserver: Send {
    fn observe_boxed(&mut self, progress: Progress) -> Pin<Box<dyn Future<Output = ControlFlow<()>> + Send + '_>>;
}

impl<O: ProgressObserver> DynObserver for O {
    fn observe_boxed(&mut self, progress: Progress) -> Pin<Box<dyn Future<Output = ControlFlow<()>> + Send + '_>> {
        Box::pin(self.observe(progress))
    }
}

/// A closure as an observer.
pub(crate) struct Watching<F>(pub(crate) F);

impl<F: FnMut(Progress) -> D + Send, D: Decision> ProgressObserver for Watching<F> {
    fn observe(&mut self, progress: Progress) -> impl Future<Output = ControlFlow<()>> + Send {
        std::future::ready((self.0)(progress).decide())
    }
}

/// An operation that the service has begun, and the device that it belongs to:
/// [`resume`](crate::ProvisioningClient::resume) continues it.
///
/// Shown as one line of text without a secret, to be stored and read back with [`str::parse`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResumeToken {
    endpoint: Endpoint,
    id_scope: IdScope,
    registration_id: RegistrationId,
    operation_id: String,
}

impl ResumeToken {
    pub(crate) fn new(operation: &Operation<'_>) -> Self {
        let identity = operation_identity(operation);
        Self {
            endpoint: identity.endpoint.into(),
            id_scope: identity.id_scope.into(),
            registration_id: identity.registration_id.into(),
            operation_id: operation.id().as_str().to_owned(),
        }
    }

    pub(crate) fn operation(&self) -> Operation<'_> {
        let identity = Identity {
            endpoint: (&self.endpoint).into(),
            id_scope: (&self.id_scope).into(),
            registration_id: (&self.registration_id).into(),
        };
        checked::operation(identity, &self.operation_id)
    }

    /// Returns the endpoint of the service that has begun the operation.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the id scope in which the device registers.
    #[must_use]
    pub fn id_scope(&self) -> &IdScope {
        &self.id_scope
    }

    /// Returns the id under which the device registers.
    #[must_use]
    pub fn registration_id(&self) -> &RegistrationId {
        &self.registration_id
    }

    /// Returns the service's id of the operation.
    #[must_use]
    pub fn operation_id(&self) -> &str {
        &self.operation_id
    }
}

impl FromStr for ResumeToken {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        Operation::parse(text).map(|operation| Self::new(&operation))
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = self.operation();
        let needed = operation.write(&mut []).map_or_else(|short| short.needed, str::len);
        f.write_str(operation.write(&mut vec![0; needed]).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResumeToken({self})")
    }
}

impl Progress {
    pub(crate) fn from_core(now: Instant, progress: &dps_core::Progress<'_>) -> Option<Self> {
        use dps_core::Call;
        Some(match progress {
            dps_core::Progress::Signing => Self::Signing,
            dps_core::Progress::Sending(request) => Self::Sending {
                call: match request.call {
                    Call::Register { .. } => "register",
                    Call::Status { .. } => "status",
                    Call::Lookup | Call::LookupWithMembers { .. } => "lookup",
                    Call::Time => "time",
                    _ => return None,
                },
            },
            dps_core::Progress::Waiting { until, operation } => Self::Waiting {
                wait: Duration::from_millis(until.since(now).get()),
                resume: operation.as_ref().map(ResumeToken::new),
            },
            _ => return None,
        })
    }
}
