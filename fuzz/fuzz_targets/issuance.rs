//! Issued certificates: a file `identity.pem` means the same after it was written again, and a hub's answers end a renewal in
//! bounded time, with a message that is printable.
#![no_main]

use dps_client::{HubMessage, renew_by, rewrite_identity};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;

/// In milliseconds.
const DEADLINE: u64 = 3_600_000;

#[derive(Arbitrary, Debug)]
enum Input<'a> {
    File(&'a [u8]),
    Answers(Vec<Answer<'a>>),
}

#[derive(Arbitrary, Debug)]
struct Answer<'a> {
    after: u32,
    topic: Topic<'a>,
    body: &'a [u8],
}

#[derive(Arbitrary, Debug)]
enum Topic<'a> {
    Any(&'a str),
    Current { status: u16 },
    Earlier { status: u16, number: u8 },
}

fuzz_target!(|input: Input<'_>| match input {
    Input::File(text) => match rewrite_identity(text) {
        Ok(Some(written)) => assert_eq!(rewrite_identity(&written).unwrap().as_deref(), Some(written.as_slice())),
        Ok(None) => {}
        Err(problem) => assert!(!problem.contains(char::is_control), "{problem:?}"),
    },
    Input::Answers(answers) => renew(&answers),
});

fn renew(answers: &[Answer<'_>]) {
    let topics: Vec<String> = answers
        .iter()
        .map(|answer| match answer.topic {
            Topic::Any(topic) => topic.to_owned(),
            Topic::Current { status } => format!("$iothub/credentials/res/{}/?$rid={{rid}}", status % 1000),
            Topic::Earlier { status, number } => {
                format!("$iothub/credentials/res/{}/?$rid=0000000000000000-{number}", status % 1000)
            }
        })
        .collect();
    let messages: Vec<HubMessage<'_>> = answers
        .iter()
        .zip(&topics)
        .map(|(answer, topic)| HubMessage { after: answer.after.into(), topic, body: answer.body })
        .collect();
    match renew_by(&messages, DEADLINE) {
        Ok(chain) => assert!(!chain.is_empty()),
        Err(error) => assert!(!error.report().to_string().contains(char::is_control), "{error:?}"),
    }
}
