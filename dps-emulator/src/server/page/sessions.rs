//! Who may use the page: a link with a code that works once and for ten minutes, and the session that it begins.
//!
//! Codes and tokens are random, kept only as digests, bounded in number, and lost when the emulator ends. Their lives follow the
//! machine's clock: a changed clock of the service ends no session.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hmac_sha256::Hash;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::x509::provider;

/// How long a link can be used.
const CODE_LIFE: Duration = Duration::from_secs(600);
/// How long a session lasts.
pub(super) const SESSION_LIFE: Duration = Duration::from_secs(12 * 3600);
/// How many links can be open at a time; another one replaces the oldest.
const CODES_MAX: usize = 16;
/// How many sessions there are at a time; another one replaces the oldest.
const SESSIONS_MAX: usize = 64;

type Digest = [u8; 32];

#[derive(Default)]
pub(super) struct Sessions {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    codes: Expiring,
    sessions: Expiring,
}

/// Digests with the end of each, oldest first.
#[derive(Default)]
struct Expiring(VecDeque<(Digest, Instant)>);

impl Expiring {
    fn add(&mut self, secret: &str, life: Duration, most: usize) {
        self.forget_old();
        while self.0.len() >= most {
            self.0.pop_front();
        }
        self.0.push_back((Hash::hash(secret.as_bytes()), Instant::now() + life));
    }

    fn position(&mut self, secret: &str) -> Option<usize> {
        self.forget_old();
        let digest = Hash::hash(secret.as_bytes());
        // Digests, compared completely, so that the time tells nothing of the secrets.
        self.0.iter().position(|(known, _)| are_equal(known, &digest))
    }

    fn forget_old(&mut self) {
        let now = Instant::now();
        self.0.retain(|(_, end)| *end > now);
    }
}

fn are_equal(one: &Digest, other: &Digest) -> bool {
    one.iter().zip(other).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

impl Sessions {
    /// Makes a code for a link; `None` if the operating system returns no random bytes.
    pub(super) fn new_code(&self) -> Option<Zeroizing<String>> {
        let code = random_hex::<16>()?;
        self.lock().codes.add(&code, CODE_LIFE, CODES_MAX);
        Some(code)
    }

    /// Begins a session with a code, which does not work again. Returns the token of the session.
    pub(super) fn begin(&self, code: &str) -> Option<Zeroizing<String>> {
        let token = random_hex::<32>()?;
        let mut kept = self.lock();
        let at = kept.codes.position(code)?;
        kept.codes.0.remove(at);
        kept.sessions.add(&token, SESSION_LIFE, SESSIONS_MAX);
        Some(token)
    }

    /// Whether this is the token of a session that has not ended.
    pub(super) fn knows(&self, token: &str) -> bool {
        self.lock().sessions.position(token).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Random bytes in hexadecimal digits.
pub(super) fn random_hex<const N: usize>() -> Option<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; N]);
    provider().secure_random.fill(bytes.as_mut_slice()).ok()?;
    let mut text = Zeroizing::new(String::with_capacity(2 * N));
    text.extend(
        bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|digit| char::from_digit(digit.into(), 16)),
    );
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn link_works_once_and_for_ten_minutes() {
        let sessions = Sessions::default();
        let (first, second) = (sessions.new_code().unwrap(), sessions.new_code().unwrap());
        assert!(first.len() >= 32 && first != second, "128 bits");
        tokio::time::advance(CODE_LIFE - Duration::from_secs(1)).await;
        let token = sessions.begin(&first).unwrap();
        assert!(sessions.knows(&token));
        assert!(sessions.begin(&first).is_none(), "it was used");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(sessions.begin(&second).is_none(), "it is too old");
        assert!(sessions.knows(&token) && !sessions.knows(&first) && !sessions.knows(""));
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_after_twelve_hours() {
        let sessions = Sessions::default();
        let token = sessions.begin(&sessions.new_code().unwrap()).unwrap();
        tokio::time::advance(SESSION_LIFE - Duration::from_secs(1)).await;
        assert!(sessions.knows(&token));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!sessions.knows(&token));
    }

    #[tokio::test(start_paused = true)]
    async fn links_and_sessions_are_bounded_and_the_oldest_is_replaced() {
        let sessions = Sessions::default();
        let codes: Vec<_> = (0..=CODES_MAX).map(|_| sessions.new_code().unwrap()).collect();
        assert!(sessions.begin(&codes[0]).is_none() && sessions.begin(&codes[1]).is_some());
        let tokens: Vec<_> =
            (0..=SESSIONS_MAX).map(|_| sessions.begin(&sessions.new_code().unwrap()).unwrap()).collect();
        assert!(!sessions.knows(&tokens[0]) && sessions.knows(&tokens[1]));
        assert_eq!(sessions.lock().sessions.0.len(), SESSIONS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_code_uses_up_no_link() {
        let sessions = Sessions::default();
        let code = sessions.new_code().unwrap();
        for guess in 0..10_000 {
            assert!(sessions.begin(&format!("{guess:032x}")).is_none());
        }
        assert!(sessions.begin(&code).is_some());
    }
}
