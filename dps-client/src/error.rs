//! The one error of this crate: what failed, whether to try again, and what to look at first.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_core::LinkError;
use dps_core::{ConfigError, ErrorCode, Failure, Family, Hint, Millis, Operation, ReplyProblem, Verdict};
use dps_files::FileError;
#[cfg(any(feature = "http", feature = "mqtt"))]
use dps_net::{ProxyError, RootsError, UnusableProxy};

use crate::fallback::RefusedCredential;
use crate::progress::ResumeToken;

/// Why there is no assignment.
///
/// [`Display`](fmt::Display) is one sentence: what went wrong. Facts such as the service's status, and hints at likely causes,
/// have accessors; [`report`](Self::report) puts all of it into one line to show to a person. No secret is in any of it.
#[derive(Debug)]
pub struct DpsError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    code: ErrorCode,
    verdict: Verdict,
    http_status: Option<u16>,
    error_code: Option<u32>,
    tracking_id: Option<String>,
    timestamp: Option<String>,
    message: String,
    hints: Vec<Hint>,
    clock_skew: Option<i64>,
    needed: Option<usize>,
    reply_problem: Option<ReplyProblem>,
    resume: Option<ResumeToken>,
    refused: Vec<RefusedCredential>,
    source: Option<Source>,
}

/// What caused an error.
pub(crate) type Source = Box<dyn Error + Send + Sync>;

/// What is known of a failure beyond its code.
pub(crate) struct Diagnosis {
    /// In words for a person.
    pub(crate) detail: String,
    /// What to look at first.
    pub(crate) hint: Option<Hint>,
    /// The typed cause.
    pub(crate) source: Option<Source>,
    /// Whether the key of the certificate could not sign.
    pub(crate) of_key: bool,
}

#[cfg(feature = "http")]
impl Diagnosis {
    pub(crate) fn new(detail: &str) -> Self {
        Self { detail: detail.to_owned(), hint: None, source: None, of_key: false }
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<&dps_net::NetError> for Diagnosis {
    fn from(error: &dps_net::NetError) -> Self {
        let of_key = matches!(error.kind(), LinkError::Signer { .. });
        Self { detail: error.detail().to_owned(), hint: error.hint(), source: Some(Box::new(error.clone())), of_key }
    }
}

impl DpsError {
    pub(crate) fn new(code: ErrorCode, verdict: Verdict, message: String) -> Self {
        Self(Box::new(Inner {
            code,
            verdict,
            http_status: None,
            error_code: None,
            tracking_id: None,
            timestamp: None,
            message,
            hints: Vec::new(),
            clock_skew: None,
            needed: None,
            reply_problem: None,
            resume: None,
            refused: Vec::new(),
            source: None,
        }))
    }

    /// A value that can never work.
    pub(crate) fn config(code: ErrorCode, message: String) -> Self {
        Self::new(code, Verdict::Reconfigure, message)
    }

    /// A value that can never work, refused with this error.
    pub(crate) fn refused(code: ErrorCode, error: impl Error + Send + Sync + 'static) -> Self {
        Self::config(code, error.to_string()).caused_by(error)
    }

    /// An option that a link refused.
    #[cfg(any(feature = "http", feature = "mqtt"))]
    pub(crate) fn refused_option(error: impl Error + Send + Sync + 'static) -> Self {
        Self::refused(ErrorCode::InvalidOption, error)
    }

    pub(crate) fn file(path: &Path, what: &str, error: io::Error) -> Self {
        Self::config(ErrorCode::File, format!("{} {what}: {error}", path.display())).caused_by(error)
    }

    /// A member of the reply that has a value which is not allowed.
    pub(crate) fn in_reply(problem: ReplyProblem) -> Self {
        let code = ErrorCode::InvalidReply;
        let mut failed = Self::new(code, Verdict::Never, format!("{}: {problem}", code.text()));
        failed.0.hints = code.hints().iter().collect();
        failed.0.reply_problem = Some(problem);
        failed
    }

    /// The same with these hints before the others.
    pub(crate) fn hinted(mut self, hints: impl IntoIterator<Item = Hint>) -> Self {
        let mut first: Vec<Hint> = hints.into_iter().collect();
        self.0.hints.retain(|hint| !first.contains(hint));
        first.append(&mut self.0.hints);
        self.0.hints = first;
        self
    }

    /// The same instead of a failure that it caused: the operation can be continued as after that one.
    pub(crate) fn instead_of(mut self, other: Self) -> Self {
        self.0.resume = other.0.resume;
        self
    }

    /// The same with this operation to go on from.
    pub(crate) fn resumable(mut self, operation: Option<ResumeToken>) -> Self {
        self.0.resume = operation;
        self
    }

    /// The same with this message, for a call in which the service refused these credentials.
    pub(crate) fn with_refused(mut self, message: String, refused: Vec<RefusedCredential>) -> Self {
        self.0.message = message;
        self.0.refused = refused;
        self
    }

    /// The same for a device whose certificate the server did not ask for, so that it was not presented.
    pub(crate) fn without_certificate(mut self) -> Self {
        self.0.message.push_str("; the server did not ask for the device's certificate in the TLS handshake");
        self.hinted([Hint::UseMqtt, Hint::CheckProxy])
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same with what a hub reports of its refusal.
    #[cfg(feature = "mqtt")]
    pub(crate) fn with_facts(mut self, status: u16, error_code: Option<u32>, tracking_id: Option<String>) -> Self {
        self.0.http_status = Some(status);
        self.0.error_code = error_code;
        self.0.tracking_id = tracking_id;
        self
    }

    /// A failure of a link outside of a registration; `diagnosis` is what the link knows beyond it.
    #[cfg(feature = "http")]
    pub(crate) fn from_link(error: LinkError, diagnosis: Option<Diagnosis>) -> Self {
        let code = error.code();
        let words = diagnosis.as_ref().map(|known| format!(": {}", known.detail)).unwrap_or_default();
        let mut failed = Self::new(code, Verdict::After(Millis::ZERO), format!("{}{words}", code.text()));
        failed.0.hints = code.hints().iter().collect();
        failed.0.source = diagnosis.and_then(|known| known.source);
        failed
    }

    /// Why a registration failed; `diagnosis` is what the link knows beyond it, `operation` what is under way.
    pub(crate) fn from_failure(
        failure: &Failure<'_>,
        diagnosis: Option<Diagnosis>,
        operation: Option<&Operation<'_>>,
    ) -> Self {
        let diagnosis = diagnosis.filter(|known| failure.code().family() == Family::Link || known.of_key);
        let hint = diagnosis.as_ref().and_then(|known| known.hint);
        let words = failure
            .message()
            .map(|message| message.as_str().to_owned())
            .or_else(|| failure.reply_problem().map(|problem| problem.to_string()));
        let (detail, source) = diagnosis.map(|known| (known.detail, known.source)).unzip();
        let message = match words.or(detail).filter(|words| !words.is_empty()) {
            Some(words) => format!("{}: {words}", failure.code().text()),
            None => failure.code().text().to_owned(),
        };
        let mut failed = Self::new(failure.code(), failure.verdict(), message);
        failed.0.source = source.flatten();
        failed.0.http_status = failure.http_status();
        failed.0.error_code = failure.error_code();
        failed.0.tracking_id = failure.tracking_id().map(|id| id.as_str().to_owned());
        failed.0.timestamp = failure.timestamp().map(|time| time.as_str().to_owned());
        failed.0.hints =
            hint.into_iter().chain(failure.hints().iter().filter(|other| !is_settled(hint, *other))).collect();
        failed.0.clock_skew = failure.clock_skew();
        failed.0.needed = failure.needed();
        failed.0.reply_problem = failure.reply_problem();
        let refused = failure.code().family() == Family::Service && failure.verdict() == Verdict::Never;
        failed.0.resume = operation.filter(|_| !refused).map(ResumeToken::new);
        failed
    }

    /// A lookup's 404 without an error code and a tracking id does not mean the device: a proxy or another server wrote it.
    pub(crate) fn unless_of_service(mut self) -> Self {
        let inner = &mut self.0;
        if inner.code == ErrorCode::NotFound && inner.error_code.is_none() && inner.tracking_id.is_none() {
            inner.code = ErrorCode::InvalidReply;
            inner.hints = vec![Hint::NotTheService];
            inner.message =
                "the answer has status 404 but is not from a provisioning service: a proxy or another server \
                             wrote it"
                    .to_owned();
        }
        self
    }

    /// The entry in the error catalogue; its number and name never change.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The catalogue's number, such as 4001.
    #[must_use]
    pub fn number(&self) -> u16 {
        self.0.code.number()
    }

    /// The catalogue's name, such as `unauthorized`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.0.code.name()
    }

    /// Who has to act.
    #[must_use]
    pub fn family(&self) -> Family {
        self.0.code.family()
    }

    /// Whether, and when, trying again makes sense.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.0.verdict
    }

    /// How long to wait before trying again, where that makes sense.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.0.verdict {
            Verdict::After(wait) => Some(Duration::from_millis(Millis::get(wait))),
            _ => None,
        }
    }

    /// The service's HTTP status.
    #[must_use]
    pub fn http_status(&self) -> Option<u16> {
        self.0.http_status
    }

    /// The service's six-digit code.
    #[must_use]
    pub fn error_code(&self) -> Option<u32> {
        self.0.error_code
    }

    /// By which the service's support finds the request.
    #[must_use]
    pub fn tracking_id(&self) -> Option<&str> {
        self.0.tracking_id.as_deref()
    }

    /// When the service noted the error, ISO 8601.
    #[must_use]
    pub fn timestamp(&self) -> Option<&str> {
        self.0.timestamp.as_deref()
    }

    /// The likely causes, the likeliest first.
    #[must_use]
    pub fn hints(&self) -> &[Hint] {
        &self.0.hints
    }

    /// Seconds that this device's clock is behind (positive) or ahead of (negative) the service's, where far.
    #[must_use]
    pub fn clock_skew_seconds(&self) -> Option<i64> {
        self.0.clock_skew
    }

    /// The size in bytes that would have done, where something was too small.
    #[must_use]
    pub fn needed_bytes(&self) -> Option<usize> {
        self.0.needed
    }

    /// What is wrong with the reply, where the code is [`ErrorCode::InvalidReply`] and the reply was JSON.
    #[must_use]
    pub fn reply_problem(&self) -> Option<ReplyProblem> {
        self.0.reply_problem
    }

    /// What to go on from later, where the service had begun an operation and has not refused it.
    #[must_use]
    pub fn resume_token(&self) -> Option<&ResumeToken> {
        self.0.resume.as_ref()
    }

    /// Why the service refused credentials, in the order in which they were tried, where the client has
    /// [several](crate::ProvisioningClientBuilder::fallback); the last one's refusal is this error, when all were refused.
    #[must_use]
    pub fn refused_credentials(&self) -> &[RefusedCredential] {
        &self.0.refused
    }

    /// What went wrong, in a sentence; the same as `Display`.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns what shows the error in one line to act on: the message, the facts, and the first hint.
    ///
    /// ```no_run
    /// # async fn example(client: dps_client::ProvisioningClient) {
    /// if let Err(error) = client.register().await {
    ///     eprintln!("{}", error.report());
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn report(&self) -> Report<'_> {
        Report(&self.0)
    }
}

impl fmt::Display for DpsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.message)
    }
}

/// An error in one line that can be acted on; made by [`DpsError::report`].
#[derive(Clone, Copy, Debug)]
pub struct Report<'e>(&'e Inner);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let error = self.0;
        f.write_str(&error.message)?;
        let facts = [
            error.http_status.map(|status| format!("status {status}")),
            error.error_code.map(|code| format!("code {code}")),
            error.tracking_id.as_ref().map(|id| format!("tracking id {id}")),
            error.clock_skew.map(skew),
        ];
        let facts: Vec<String> = facts.into_iter().flatten().collect();
        if !facts.is_empty() {
            write!(f, " ({})", facts.join(", "))?;
        }
        match error.hints.first() {
            Some(hint) => write!(f, "; {}", hint.text()),
            None => Ok(()),
        }
    }
}

/// Whether a hint adds nothing to what is known: it is the same, or no password helps with a scheme that is not
/// supported.
fn is_settled(known: Option<Hint>, other: Hint) -> bool {
    known == Some(other) || (known == Some(Hint::ProxyScheme) && other == Hint::CheckProxyCredentials)
}

fn skew(seconds: i64) -> String {
    let (amount, side) = (seconds.unsigned_abs(), if seconds > 0 { "behind" } else { "ahead of" });
    format!("this device's clock is {amount} s {side} the service's")
}

/// [`source`](Error::source) begins the chain of typed causes, for a program that looks further: in it is the [`io::Error`] of
/// a file, a socket or name resolution, the `rustls::Error` of a handshake, or the error that an option was refused with.
/// `Display` already has its words.
impl Error for DpsError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let source: &(dyn Error + 'static) = self.0.source.as_deref()?;
        #[cfg(any(feature = "http", feature = "mqtt"))]
        if let Some(network) = source.downcast_ref::<dps_net::NetError>() {
            // Its words are in the message.
            return network.source();
        }
        Some(source)
    }
}

impl From<FileError> for DpsError {
    fn from(error: FileError) -> Self {
        Self::refused(ErrorCode::File, error)
    }
}

/// For options that were parsed before: see [`ProvisioningClientBuilder`](crate::ProvisioningClientBuilder).
impl From<Infallible> for DpsError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<ConfigError> for DpsError {
    fn from(error: ConfigError) -> Self {
        Self::refused(error.code(), error)
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<RootsError> for DpsError {
    fn from(error: RootsError) -> Self {
        Self::refused(ErrorCode::InvalidCertificate, error)
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<UnusableProxy> for DpsError {
    fn from(error: UnusableProxy) -> Self {
        Self::refused(ErrorCode::InvalidOption, error)
    }
}

#[cfg(any(feature = "http", feature = "mqtt"))]
impl From<ProxyError> for DpsError {
    fn from(error: ProxyError) -> Self {
        Self::refused(ErrorCode::InvalidOption, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_is_the_message_alone_and_report_adds_facts_and_the_first_hint() {
        let mut error = DpsError::new(ErrorCode::Unauthorized, Verdict::Never, "the credential was refused".into());
        error.0.http_status = Some(401);
        error.0.tracking_id = Some("t-1".into());
        error.0.clock_skew = Some(7200);
        error.0.hints = vec![Hint::ClockBehind, Hint::WrongKey];
        assert_eq!(error.to_string(), "the credential was refused");
        let facts = "(status 401, tracking id t-1, this device's clock is 7200 s behind the service's)";
        let hint = Hint::ClockBehind.text();
        assert_eq!(error.report().to_string(), format!("the credential was refused {facts}; {hint}"));
    }

    #[test]
    fn sources_are_typed() {
        let error = DpsError::from(ConfigError::OperationUnreadable);
        let source = error.source().and_then(|source| source.downcast_ref::<ConfigError>());
        assert_eq!(source, Some(&ConfigError::OperationUnreadable));
        let missing = io::Error::from(io::ErrorKind::NotFound);
        let error = DpsError::file(Path::new("a.key"), "cannot be read", missing);
        let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
        assert_eq!(source.map(io::Error::kind), Some(io::ErrorKind::NotFound));
    }
}
