//! A run: which scenarios, some at a time, each from its service's start to its verdict. It runs within one future, so
//! that dropping the future ends every command.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::sleep;
use zeroize::Zeroizing;

use crate::board::Board;
use crate::card::{Card, Outcome, ScenarioResult};
use crate::certificates::Authority;
use crate::error::AcceptError;
use crate::judge::{Device, Verdict, judge};
use crate::place::Place;
use crate::process::Process;
use crate::scenario::{Credential, Scenario, ScenarioSet, Transport};
use crate::scene::{Identity, Scene};
use crate::seen::Seen;
use crate::settings;

/// How often what was seen is judged. Verdicts rest on the service's times, not on this.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// The default number of scenarios at a time: most of a scenario is waiting.
const JOBS: usize = 6;

/// A device, and how it is examined.
///
/// ```no_run
/// use dps_accept::{Acceptance, Transport};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), dps_accept::AcceptError> {
/// let command = ["./device", "--host", "{endpoint}", "--ca", "{caFile}"].map(str::to_owned);
/// let acceptance = Acceptance::of_command(command).transport(Transport::Mqtt).skip(["large-reply"]);
/// let card = acceptance.run(|result| println!("{result}")).await?;
/// assert!(card.score() >= 90, "{card}");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Acceptance {
    device: Examined,
    place: Place,
    credential: Credential,
    authority: Option<(Zeroizing<String>, Zeroizing<String>)>,
    only: Vec<String>,
    skip: Vec<String>,
    jobs: usize,
}

#[derive(Debug)]
enum Examined {
    Command(Vec<String>),
    Board(Board),
}

impl Acceptance {
    /// Examines a command, which is started for each scenario: the program and its arguments, which can contain
    /// placeholders such as `{endpoint}`. The settings are in its environment too: see [`settings`](crate::settings).
    #[must_use]
    pub fn of_command(words: impl IntoIterator<Item = String>) -> Self {
        Self::new(Examined::Command(words.into_iter().collect()), Credential::Key)
    }

    /// Examines a board, which is restarted for each scenario. It needs a fixed [`port`](Self::https_port) of its
    /// transport, and an [`authority`](Self::authority) that it trusts.
    #[must_use]
    pub fn of_board(board: Board) -> Self {
        let credential = Identity::from(&board).credential();
        Self::new(Examined::Board(board), credential)
    }

    fn new(device: Examined, credential: Credential) -> Self {
        let (place, only, skip) = (Place::default(), Vec::new(), Vec::new());
        Self { device, place, credential, authority: None, only, skip, jobs: JOBS }
    }

    /// The transport that the device uses. Default: HTTPS.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.place.transport = transport;
        self
    }

    /// The credential that a command is given. Default: a key. No effect on a board.
    #[must_use]
    pub fn credential(mut self, credential: Credential) -> Self {
        if matches!(self.device, Examined::Command(_)) {
            self.credential = credential;
        }
        self
    }

    /// Runs only the scenarios with these names. The score is then about these alone.
    #[must_use]
    pub fn only(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.only.extend(names.into_iter().map(Into::into));
        self
    }

    /// Leaves out the scenarios with these names, which count as failed.
    #[must_use]
    pub fn skip(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.skip.extend(names.into_iter().map(Into::into));
        self
    }

    /// How many scenarios run at a time, 1 to 64. Default: 6. With a fixed port, or a board, it is one.
    #[must_use]
    pub fn jobs(mut self, jobs: usize) -> Self {
        self.jobs = jobs.clamp(1, 64);
        self
    }

    /// The address to listen on. Default: loopback.
    #[must_use]
    pub fn listen(mut self, address: IpAddr) -> Self {
        self.place.listen = address;
        self
    }

    /// The host name or address by which the device connects. Default: `localhost`.
    #[must_use]
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.place.host = host.into();
        self
    }

    /// The port of HTTPS. Default: a free one.
    #[must_use]
    pub fn https_port(mut self, port: u16) -> Self {
        self.place.ports[0] = port;
        self
    }

    /// The port of MQTT. Default: a free one.
    #[must_use]
    pub fn mqtt_port(mut self, port: u16) -> Self {
        self.place.ports[1] = port;
        self
    }

    /// The port of MQTT over WebSocket. Default: a free one. It can be that of HTTPS.
    #[must_use]
    pub fn wss_port(mut self, port: u16) -> Self {
        self.place.ports[2] = port;
        self
    }

    /// The id scope. Default: that of the emulator.
    #[must_use]
    pub fn id_scope(mut self, id_scope: impl Into<String>) -> Self {
        self.place.id_scope = Some(id_scope.into());
        self
    }

    /// The authority that issues the certificates of the services: a CA certificate and its key, in PEM. Default: one
    /// that is made for the run.
    #[must_use]
    pub fn authority(mut self, certificate_pem: impl Into<String>, key_pem: impl Into<String>) -> Self {
        self.authority = Some((Zeroizing::new(certificate_pem.into()), Zeroizing::new(key_pem.into())));
        self
    }

    /// Runs the scenarios and returns the card. `on_result` is called with each result when it is there, not always in the
    /// order of the set. If the future is dropped, every command is killed. Requires a tokio runtime with network and
    /// time.
    ///
    /// # Errors
    /// [`AcceptError`] if the run could not begin or go on. What a device does is never an error.
    pub async fn run(self, mut on_result: impl FnMut(&ScenarioResult)) -> Result<Card, AcceptError> {
        let began = Instant::now();
        self.check()?;
        let authority = match &self.authority {
            Some((certificate, key)) => Authority::from_pem(certificate, key)?,
            None => Authority::generate("CA")?,
        };
        let is_serial = self.place.has_fixed_port() || matches!(self.device, Examined::Board(_));
        let jobs = if is_serial { 1 } else { self.jobs };
        let selected: Vec<&'static Scenario> = self.selected().collect();
        let mut results: Vec<Option<ScenarioResult>> = vec![None; selected.len()];
        let (mut running, mut waiting) = (FuturesUnordered::new(), selected.iter().enumerate());
        loop {
            for (number, scenario) in waiting.by_ref().take(jobs - running.len()) {
                let (run, authority) = (&self, &authority);
                running.push(async move { (number, run.result(scenario, authority).await) });
            }
            let Some((number, result)) = running.next().await else { break };
            let result = result?;
            on_result(&result);
            results[number] = Some(result);
        }
        let subject = (self.place.transport, self.credential);
        let results = results.into_iter().flatten().collect();
        Ok(Card::new(subject, !self.only.is_empty(), results, began.elapsed()))
    }

    /// Refuses what cannot work before anything is started.
    fn check(&self) -> Result<(), AcceptError> {
        let set = ScenarioSet::get().scenarios();
        let is_unknown = |name: &&String| !set.iter().any(|scenario| scenario.name() == name.as_str());
        if let Some(name) = self.only.iter().chain(&self.skip).find(is_unknown) {
            return Err(AcceptError::UnknownScenario(name.clone()));
        }
        match &self.device {
            Examined::Command(words) if words.is_empty() => return Err(AcceptError::NoCommand),
            Examined::Command(words) => settings::check(words)?,
            Examined::Board(_) => {}
        }
        let runs = |scenario: &'static Scenario| self.outcome_without_a_run(scenario).is_none();
        if self.selected().any(runs) { Ok(()) } else { Err(AcceptError::NothingToRun) }
    }

    fn selected(&self) -> impl Iterator<Item = &'static Scenario> {
        let is_selected = |name: &str| self.only.is_empty() || self.only.iter().any(|only| only == name);
        ScenarioSet::get().scenarios().iter().filter(move |scenario| is_selected(scenario.name()))
    }

    /// The outcome of a scenario that need not run.
    fn outcome_without_a_run(&self, scenario: &Scenario) -> Option<Outcome> {
        let is_board = matches!(self.device, Examined::Board(_));
        let needs_another_id = scenario.registration_id.is_some();
        let needs_another_credential = scenario.enrollment == crate::scenario::EnrollmentPlan::GroupChain;
        let is_applicable = scenario.transports.contains(&self.place.transport)
            && scenario.credentials.contains(&self.credential)
            && !(is_board && (needs_another_id || needs_another_credential));
        if !is_applicable {
            return Some(Outcome::NotApplicable);
        }
        self.skip.iter().any(|name| name == scenario.name()).then_some(Outcome::Skipped)
    }

    async fn result(&self, scenario: &'static Scenario, authority: &Authority) -> Result<ScenarioResult, AcceptError> {
        if let Some(outcome) = self.outcome_without_a_run(scenario) {
            return Ok(ScenarioResult::new(scenario, outcome));
        }
        let began = Instant::now();
        let result = match &self.device {
            Examined::Command(words) => self.examine_command(scenario, authority, words).await?,
            Examined::Board(board) => self.examine_board(scenario, authority, board).await?,
        };
        Ok(result.in_time(began.elapsed()))
    }

    async fn examine_command(
        &self,
        scenario: &'static Scenario,
        authority: &Authority,
        words: &[String],
    ) -> Result<ScenarioResult, AcceptError> {
        let scene = Scene::start(scenario, &self.place, authority, &Identity::Fresh(self.credential)).await?;
        let words = scene.settings.expand(words)?;
        let failed = |source| AcceptError::Command { program: words[0].clone(), source };
        let mut process = Process::start(&words, scene.settings.environment()).map_err(failed)?;
        let began_ms = scene.now_ms();
        let (problem, ended) = loop {
            // Before the look at what was seen: everything that an ended command has sent was seen.
            let ended = process.status();
            let device = if ended.is_some() { Device::Over } else { Device::Running };
            match judge(scenario, &scene.seen(), device, began_ms, scene.now_ms()) {
                Verdict::Passed => break (None, ended),
                Verdict::Failed(problem) => break (Some(problem), ended),
                Verdict::Open => tokio::select! {
                    _ = process.ended() => {}
                    () = sleep(LOOK_EVERY) => {}
                },
            }
        };
        let output = without(process.stop().await, &scene.secrets);
        scene.end().await;
        Ok(match problem {
            None => ScenarioResult::new(scenario, Outcome::Passed),
            Some(problem) => {
                let ended = ended.map(|status| format!(" ({status})")).unwrap_or_default();
                ScenarioResult::failed(scenario, &format!("{problem}{ended}"), Some(&output))
            }
        })
    }

    async fn examine_board(
        &self,
        scenario: &'static Scenario,
        authority: &Authority,
        board: &Board,
    ) -> Result<ScenarioResult, AcceptError> {
        let scene = Scene::start(scenario, &self.place, authority, &Identity::from(board)).await?;
        board.reset.run(scenario, &scene.settings).await?;
        let began_ms = scene.now_ms();
        let verdict = loop {
            let (seen, now_ms) = (scene.seen(), scene.now_ms());
            match judge(scenario, &seen, board_state(&seen, board, began_ms, now_ms), began_ms, now_ms) {
                Verdict::Open => sleep(LOOK_EVERY).await,
                verdict => break verdict,
            }
        };
        scene.end().await;
        Ok(match verdict {
            Verdict::Failed(problem) => ScenarioResult::failed(scenario, &problem, None),
            _ => ScenarioResult::new(scenario, Outcome::Passed),
        })
    }
}

/// A board that sends nothing for long has given up; after its last answered call, or since it was restarted.
fn board_state(seen: &Seen, board: &Board, began_ms: u64, now_ms: u64) -> Device {
    let last_ms = seen.last_ms().unwrap_or(began_ms).max(began_ms);
    let quiet_ms = u64::try_from(board.quiet.as_millis()).unwrap_or(u64::MAX);
    if now_ms.saturating_sub(last_ms) >= quiet_ms { Device::Over } else { Device::Running }
}

impl From<&Board> for Identity {
    fn from(board: &Board) -> Self {
        Self::Fixed { registration_id: board.registration_id.clone(), credential: board.credential.clone() }
    }
}

/// Removes the device's key from its output.
fn without(output: String, secrets: &[Zeroizing<String>]) -> String {
    secrets.iter().fold(output, |output, secret| output.replace(secret.as_str(), "[key]"))
}
