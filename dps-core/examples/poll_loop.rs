//! A registration inside the main loop of firmware that never blocks, over MQTT.
//!
//! Each turn of the loop sends what is to be sent, reads what has arrived, and goes on with other work. The
//! MQTT client here is a recording, so that the example needs no network.

#![allow(clippy::print_stdout, reason = "an example tells its reader what happens")]

mod recorded;

use dps_core::codec::mqtt::{self, DEFAULT_API_VERSION, SUBSCRIBE_FILTER};
use dps_core::{
    Action, ActivateError, Instant, Key, LinkError, Misuse, Registration, Request, Text, TooSmall, storage_size,
};

/// How long one turn of the main loop takes.
const TURN: u64 = 50;

/// Registers the device, one turn after the other; returns how many it took.
fn main_loop(
    registration: &mut Registration<'_>,
    key: &Key,
    clock: &recorded::Clock,
    client: &mut Client,
    buffer: &mut [u8],
) -> Result<u32, Misuse> {
    let mut turns = 0;
    loop {
        turns += 1;
        let now = clock.now();
        if let Some(id) = registration.awaited()
            && let Some((topic, payload)) = client.receive(now, buffer)
            && let Some(topic) = mqtt::parse_topic(topic).filter(|topic| topic.answers(id))
        {
            match mqtt::read_reply(&topic, payload) {
                Ok(reply) => registration.handle_reply(now, id, &reply)?,
                Err(error) => registration.handle_link_error(now, id, error)?,
            }
        }
        match registration.poll(now) {
            Action::Sign { id, .. } => {
                let signature = key.sign(registration.to_sign());
                registration.handle_signature(now, id, &signature)?;
            }
            Action::Send { id, .. } => {
                let sent = registration.request().map(|request| client.send(now, &request));
                if let Some(Err(short)) = sent {
                    let error = LinkError::RequestTooLarge { needed: short.needed };
                    registration.handle_link_error(now, id, error)?;
                }
            }
            // Only for a TPM, which this device does not have.
            Action::Activate { id, .. } => registration.handle_activate_error(now, id, ActivateError)?,
            // Nothing to do before `until` but to look for the reply: other work goes on.
            Action::Wait { .. } => {}
            Action::Finished => return Ok(turns),
        }
        // The rest of the firmware's work takes its time.
        clock.advance_to(Instant::from_millis(now.as_millis() + TURN));
    }
}

/// An MQTT client that plays the service's part too.
struct Client {
    connected: bool,
    topic: String,
    /// The answer under way, and when it arrives.
    arriving: Option<(Instant, String, &'static str)>,
    answers: std::vec::IntoIter<(&'static str, &'static str)>,
}

impl Client {
    fn new() -> Self {
        let answers = vec![("202", recorded::ASSIGNING), ("200", recorded::ASSIGNED)];
        Self { connected: false, topic: String::new(), arriving: None, answers: answers.into_iter() }
    }

    /// Connects before the first request, then publishes.
    fn send(&mut self, now: Instant, request: &Request<'_>) -> Result<(), TooSmall> {
        let mut buffer = [0; 512];
        if !self.connected {
            let mut text = Text::new(&mut buffer);
            mqtt::write_user_name(&mut text, &request.identity, DEFAULT_API_VERSION, "example/1");
            println!("> CONNECT {} as {}", request.identity.registration_id, text.finish()?);
            println!("> SUBSCRIBE {SUBSCRIBE_FILTER}");
            assert!(request.authorization.is_some(), "the token is the password");
            self.connected = true;
        }
        let mut text = Text::new(&mut buffer);
        mqtt::write_topic(&mut text, request);
        println!("> PUBLISH {}", text.finish()?);
        let mut text = Text::new(&mut buffer);
        mqtt::write_payload(&mut text, request);
        println!("  {}", text.finish()?);

        self.arriving = self.answers.next().map(|(status, payload)| {
            let id = request.id.get();
            let topic = format!("$dps/registrations/res/{status}/?$rid={id}&retry-after=3");
            (now + recorded::ROUND_TRIP, topic, payload)
        });
        Ok(())
    }

    /// The topic and the payload of a message that has arrived.
    fn receive<'b>(&mut self, now: Instant, buffer: &'b mut [u8]) -> Option<(&str, &'b mut [u8])> {
        let (_, topic, payload) = self.arriving.take_if(|(at, ..)| now >= *at)?;
        self.topic = topic;
        let place = buffer.get_mut(..payload.len())?;
        place.copy_from_slice(payload.as_bytes());
        Some((&self.topic, place))
    }
}

/// Registers the device, and tells how that ended.
pub(crate) fn run() -> Result<String, Box<dyn std::error::Error>> {
    let key = Key::from_bytes(recorded::KEY)?;
    let identity = recorded::identity()?;
    let mut storage = vec![0; storage_size(&identity)];
    let mut registration = Registration::new(identity, recorded::config(), &mut storage)?;
    let (clock, mut client, mut buffer) = (recorded::Clock::default(), Client::new(), [0; 2048]);
    let turns = main_loop(&mut registration, &key, &clock, &mut client, &mut buffer)?;
    println!("the main loop took {turns} turns");
    Ok(recorded::report(&registration, &buffer, clock.now()))
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
