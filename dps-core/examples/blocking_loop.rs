//! A registration by a loop of your own that blocks while it sends and waits, over HTTPS.
//!
//! `register` is the loop that the README shows. Its platform here is a recording, so that the example needs no network;
//! firmware puts its clock and its TLS connection in that place.

#![allow(clippy::print_stdout, reason = "an example tells its reader what happens")]

mod recorded;

use dps_core::codec::http::{DEFAULT_API_VERSION, wire};
use dps_core::{Action, ActivateError, Instant, Key, LinkError, Misuse, Registration, Reply, Request, storage_size};

/// What the loop needs of your platform.
trait Platform {
    fn now(&mut self) -> Instant;
    fn sleep_until(&mut self, moment: Instant);
    /// Sends the request and reads the reply into `buffer`; returns an error at `request.respond_by` at the latest.
    fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError>;
}

/// Registers the device; read `registration.outcome()` then.
fn register(
    registration: &mut Registration<'_>,
    key: &Key,
    platform: &mut impl Platform,
    buffer: &mut [u8],
) -> Result<(), Misuse> {
    loop {
        match registration.poll(platform.now()) {
            Action::Sign { id, .. } => {
                let signature = key.sign(registration.to_sign());
                registration.handle_signature(platform.now(), id, &signature)?;
            }
            Action::Send { id, .. } => {
                let Some(request) = registration.request() else { continue };
                match platform.exchange(&request, buffer) {
                    Ok(reply) => registration.handle_reply(platform.now(), id, &reply)?,
                    Err(error) => registration.handle_link_error(platform.now(), id, error)?,
                }
            }
            // Only for a TPM, which this device does not have.
            Action::Activate { id, .. } => registration.handle_activate_error(platform.now(), id, ActivateError)?,
            Action::Wait { until } => platform.sleep_until(until),
            Action::Finished => return Ok(()),
        }
    }
}

/// Plays the service's part.
struct Recording {
    clock: recorded::Clock,
    replies: std::vec::IntoIter<String>,
}

impl Recording {
    fn new() -> Self {
        let (assigning, assigned) = (recorded::ASSIGNING, recorded::ASSIGNED);
        let replies = vec![
            format!(
                "HTTP/1.1 202 Accepted\r\nRetry-After: 3\r\nContent-Length: {}\r\n\r\n{assigning}",
                assigning.len()
            ),
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{assigned}", assigned.len()),
        ];
        Self { clock: recorded::Clock::default(), replies: replies.into_iter() }
    }
}

impl Platform for Recording {
    fn now(&mut self) -> Instant {
        self.clock.now()
    }

    fn sleep_until(&mut self, moment: Instant) {
        self.clock.advance_to(moment);
    }

    fn exchange<'b>(&mut self, request: &Request<'_>, buffer: &'b mut [u8]) -> Result<Reply<'b>, LinkError> {
        let length = wire::write_request(request, DEFAULT_API_VERSION, "example/1", buffer)
            .map_err(|short| LinkError::RequestTooLarge { needed: short.needed })?;
        let sent = &mut buffer[..length];
        println!("> {}", String::from_utf8_lossy(sent).lines().next().unwrap_or_default());
        // The token is a secret, and the buffer lives on.
        sent.fill(0);

        self.clock.advance_to(self.clock.now() + recorded::ROUND_TRIP);
        let reply = self.replies.next().ok_or(LinkError::Cut)?;
        let mut filled = 0;
        // A socket returns a reply in pieces.
        for piece in reply.as_bytes().chunks(50) {
            let end = filled + piece.len();
            buffer.get_mut(filled..end).ok_or(LinkError::ReplyTooLarge { needed: None })?.copy_from_slice(piece);
            filled = end;
            if let Some(layout) = wire::scan(&buffer[..filled], buffer.len(), false)? {
                return layout.read(&mut buffer[..filled]);
            }
        }
        Err(LinkError::Cut)
    }
}

/// Registers the device, and tells how that ended.
pub(crate) fn run() -> Result<String, Box<dyn std::error::Error>> {
    let key = Key::from_bytes(recorded::KEY)?;
    let identity = recorded::identity()?;
    let mut storage = vec![0; storage_size(&identity)];
    let mut registration = Registration::new(identity, recorded::config(), &mut storage)?;
    let mut platform = Recording::new();
    let mut buffer = [0; 2048];
    register(&mut registration, &key, &mut platform, &mut buffer)?;
    Ok(recorded::report(&registration, &buffer, platform.now()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
