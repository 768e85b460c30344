//! `dps emulator fault`, `counters` and `log`: speak to an emulator that is running, in this machine or another.
//! Devices in its hubs have a file of their own.

use std::io::{self, Write};

use dps_core::RegistrationId;
use dps_emulator::{FaultPlan, PlanError};
use serde_json::{Map, Value, json};

use super::{hub_device, refusals};
use crate::args::{EmulatorCommand, FaultAddArgs, FaultCommand};
use crate::commands::owner;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// Runs the command.
pub(in crate::commands) async fn run(command: EmulatorCommand, output: Output) -> Result<Exit> {
    match command {
        EmulatorCommand::Fault(FaultCommand::Add(args)) => {
            let plan = plan(&args)?;
            let answer = owner::connect(args.owner).await?.plan_fault(&plan).await?;
            output.result(&answer, |out| faults(&answer, "planned: ", out))?;
        }
        EmulatorCommand::Fault(FaultCommand::List { owner }) => {
            let answer = owner::connect(owner).await?.planned_faults().await?;
            output.result(&answer, |out| faults(&answer, "", out))?;
        }
        EmulatorCommand::Fault(FaultCommand::Clear { registration_id, owner }) => {
            check_id(registration_id.as_deref())?;
            let answer = owner::connect(owner).await?.clear_faults(registration_id.as_deref()).await?;
            output.result(&answer, |out| match answer["cleared"].as_u64() {
                Some(1) => writeln!(out, "1 fault taken back"),
                cleared => writeln!(out, "{} faults taken back", cleared.unwrap_or_default()),
            })?;
        }
        EmulatorCommand::HubDevice(command) => return hub_device::run(command, output).await,
        EmulatorCommand::Log { owner } => {
            let answer = owner::connect(owner).await?.refusals().await?;
            output.result(&answer, |out| refusals::show(&answer, out))?;
        }
        EmulatorCommand::Counters { registration_id, owner } => {
            check_id(registration_id.as_deref())?;
            let answer = owner::connect(owner).await?.counters(registration_id.as_deref()).await?;
            output.result(&answer, |out| counters(&answer, out))?;
        }
    }
    Ok(Exit::Done)
}

fn check_id(registration_id: Option<&str>) -> Result<()> {
    registration_id.map_or(Ok(()), |id| RegistrationId::new(id).map(drop).map_err(Failure::from))
}

/// The fault that the options describe. What does not go together is refused here, before anything is sent.
fn plan(args: &FaultAddArgs) -> Result<FaultPlan> {
    check_id(args.registration_id.as_deref())?;
    let date = args.retry_after_date.map(|seconds| json!({ "dateOffset": seconds }));
    let members = [
        ("kind", Some(json!(args.kind))),
        ("at", Some(json!(args.at))),
        ("times", Some(json!(args.times))),
        ("registrationId", args.registration_id.as_ref().map(|id| json!(id))),
        ("retryAfter", args.retry_after.map(Value::from).or(date)),
        ("status", args.status.map(Value::from)),
        ("ms", args.ms.map(Value::from)),
        ("bytes", args.bytes.map(Value::from)),
        ("patch", args.patch.clone()),
        ("code", args.code.map(Value::from)),
        ("of", args.of.as_ref().map(|of| json!(of))),
        ("answered", args.answered.then_some(json!(true))),
    ];
    let given = members.into_iter().filter_map(|(member, value)| Some((member.to_owned(), value?)));
    FaultPlan::try_from(given.collect::<Map<_, _>>()).map_err(|error| unplannable(&error, args))
}

fn unplannable(error: &PlanError, args: &FaultAddArgs) -> Failure {
    let date = if error.member() == "retryAfter" && args.retry_after_date.is_some() { "-date" } else { "" };
    Failure::usage(format!("--{}{date} {}", in_words(error.member()), error.problem()))
}

/// The name of a member as options are spelt, such as `retry-after`.
fn in_words(member: &str) -> String {
    let mut words = String::new();
    for letter in member.chars() {
        if letter.is_ascii_uppercase() {
            words.push('-');
        }
        words.push(letter.to_ascii_lowercase());
    }
    words
}

/// The members of a fault that its line names by itself.
const NAMED: [&str; 5] = ["kind", "at", "registrationId", "times", "left"];

/// One line a fault.
fn faults(answer: &Value, heading: &str, out: &mut dyn Write) -> io::Result<()> {
    let faults = answer["faults"].as_array().map(Vec::as_slice).unwrap_or_default();
    if faults.is_empty() {
        return writeln!(out, "no fault is planned");
    }
    for fault in faults.iter().filter_map(Value::as_object) {
        let word = |member: &str| fault.get(member).and_then(Value::as_str);
        let (kind, at) = (word("kind").unwrap_or("?"), word("at").unwrap_or("?"));
        let device = word("registrationId").unwrap_or("every device");
        let others = fault.iter().filter(|(member, _)| !NAMED.contains(&member.as_str()));
        let others: String = others.map(|(member, value)| format!(", {} {value}", in_words(member))).collect();
        let number = |member: &str| fault.get(member).and_then(Value::as_u64).unwrap_or_default();
        let (left, times) = (number("left"), number("times"));
        writeln!(out, "{heading}{kind} at {at} for {device}{others}, {left} of {times} left")?;
    }
    Ok(())
}

fn counters(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    if let Some(id) = answer["registrationId"].as_str() {
        writeln!(out, "registration {id}")?;
    }
    for (name, value) in answer.as_object().into_iter().flatten() {
        if let Some(value) = value.as_u64() {
            writeln!(out, "  {:<13}  {value}", in_words(name))?;
        }
    }
    Ok(())
}
