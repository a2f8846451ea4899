//! `bbtw watch`

mod display;
mod ending;
mod state;

use std::collections::BTreeMap;
use std::pin::pin;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::client::ClientError;
use buildbtw_api::events::{Event, EventQuery};
use buildbtw_api::namespaces::{Iteration, NamespaceDetails};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, ServerMode};
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use self::display::Display;
use self::state::{Builds, Change, Key, Verdict, followed, verdict};
use super::mode;
use crate::asking;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::patience::Patience;
use crate::style;
use crate::words::{harmless, outcome};

/// Follows a namespace to its end.
pub async fn run(session: &Session, arguments: &cli::Watch) -> Outcome {
    let mut watch = Watch {
        session,
        name: &arguments.namespace,
        display: Display::new(session),
        mode: ServerMode::Run,
        details: None,
        builds: Builds::default(),
        stale: true,
        last: None,
    };
    let mut patience = Patience::default();
    let verdict = loop {
        let query = EventQuery {
            namespace: Some(arguments.namespace.clone()),
            after: watch.last,
        };
        // Opened before the namespace is read, so that nothing happens unseen between the two.
        let failure = match session.client.events(&query).await {
            Err(error) => Some(Failure::from(error)),
            Ok(events) => match watch.follow(events, &mut patience).await {
                Ok(Some(verdict)) => break verdict,
                Ok(None) => None,
                Err(failure) => Some(failure),
            },
        };
        // A server that was never reached has most likely another address.
        let hopeless = |failure: &Failure| watch.details.is_none() || !failure.is_passing();
        match failure {
            Some(failure) if hopeless(&failure) => return Err(failure),
            failure => {
                watch.lost(&patience);
                patience.wait(failure).await?;
            }
        }
    };
    watch.close(verdict).await
}

/// One namespace being watched.
struct Watch<'a> {
    session: &'a Session,
    name: &'a NamespaceName,
    display: Display,
    /// The server's mode as it was told last.
    mode: ServerMode,
    /// The namespace as it was read last.
    details: Option<NamespaceDetails>,
    /// The builds of the iteration that is followed, kept up to date by events.
    builds: Builds,
    /// Whether everything is to be read anew, since something may have been missed.
    stale: bool,
    /// The number of the last event.
    last: Option<i64>,
}

impl Watch<'_> {
    /// Follows events until it is over (what came of it) or they end (`None`).
    async fn follow(
        &mut self,
        events: impl Stream<Item = Result<Event, ClientError>>,
        patience: &mut Patience,
    ) -> Result<Option<Verdict>, Failure> {
        let mut events = pin!(events);
        if patience.is_away() {
            self.display.say("The server is back.")?;
        }
        patience.answered();
        // Without a number to go on from, the stream says only what happens from now on.
        if self.stale || self.last.is_none() {
            self.stale = true;
            self.look_at_mode().await?;
            let verdict = self.look().await?;
            if verdict.is_some() {
                return Ok(verdict);
            }
        }
        while let Some(event) = events.next().await {
            let event = event?;
            patience.renew();
            self.last = Some(event.seq);
            self.display.event(&event)?;
            let verdict = match self.take_in(&event).await {
                Ok(verdict) => verdict,
                Err(failure) => {
                    // The event will not come again, and has had only a part of its effect.
                    self.stale = true;
                    return Err(failure);
                }
            };
            if verdict.is_some() {
                return Ok(verdict);
            }
        }
        Ok(None)
    }

    async fn take_in(&mut self, event: &Event) -> Result<Option<Verdict>, Failure> {
        match self.builds.apply(event) {
            Change::Nothing => Ok(None),
            Change::Look => self.look().await,
            Change::Mode => {
                self.look_at_mode().await?;
                Ok(None)
            }
            Change::Unclear => {
                self.stale = true;
                self.look().await
            }
            Change::Build {
                key,
                status,
                reason,
            } => {
                self.display
                    .build(&self.builds, &key, status, reason.as_deref())?;
                if status == BuildStatus::Failed {
                    self.tell_failure(&key).await?;
                }
                self.refresh();
                // The events say that it is over; the server has the last word.
                if self.builds.are_final() {
                    self.look().await
                } else {
                    Ok(None)
                }
            }
        }
    }

    /// Reads whether the server hands out runs, and tells what changed.
    async fn look_at_mode(&mut self) -> Outcome {
        let Some(note) = mode::asked(self.session).await else {
            return Ok(());
        };
        let before = std::mem::replace(&mut self.mode, note.mode);
        if before == note.mode {
            return Ok(());
        }
        self.refresh();
        match note.remark() {
            Some(remark) => self.display.say(&harmless(&remark)),
            None => self.display.say("The server hands out runs again."),
        }
    }

    /// Reads the namespace, tells what changed, and hands back whether it is over.
    async fn look(&mut self) -> Result<Option<Verdict>, Failure> {
        let details = self.session.client.namespace(self.name).await?;
        self.tell_changes(&details)?;
        let verdict = verdict(&details);
        let called_off = matches!(verdict, Some(Verdict::Cancelled | Verdict::Archived));
        if let Some(iteration) = followed(&details) {
            let other = self.builds.iteration != iteration.number;
            if other || self.stale || called_off {
                self.load(iteration).await?;
            }
        }
        self.details = Some(details);
        self.stale = false;
        self.refresh();
        // The server may be ahead of its events. Those that are still to come are told first.
        Ok(verdict.filter(|_| called_off || self.builds.are_final()))
    }

    /// Reads the builds of an iteration.
    async fn load(&mut self, iteration: &Iteration) -> Outcome {
        let query = BuildQuery::default();
        let list = asking::builds(&self.session.client, self.name, iteration.number, query).await?;
        let mut builds = Builds::new(iteration.number, &list);
        if builds.iteration == self.builds.iteration && !self.builds.is_empty() {
            builds.told = std::mem::take(&mut self.builds.told);
            self.builds = builds;
            return Ok(());
        }
        let watching = if self.builds.is_empty() {
            "Watching"
        } else {
            "Now watching"
        };
        self.builds = builds;
        self.refresh();
        let done = self.builds.count(BuildStatus::releases_dependents);
        self.display.say(&format!(
            "{watching} iteration {} of {}: {done} of {} done.",
            iteration.number,
            self.name,
            self.builds.total()
        ))?;
        self.display.json(&Began {
            kind: "watch_began",
            namespace: self.name,
            iteration: iteration.number,
            counts: self.builds.counts(),
        })
    }

    /// Tells what is new about the namespace and its iterations.
    fn tell_changes(&self, now: &NamespaceDetails) -> Outcome {
        let status = now.namespace.status;
        let before = self
            .details
            .as_ref()
            .map(|details| details.namespace.status);
        if before != Some(status) {
            match status {
                NamespaceStatus::Paused => self.display.say(&format!(
                    "{} is paused: no more builds are handed out. `bbtw resume {}` goes on.",
                    self.name, self.name
                ))?,
                NamespaceStatus::Active if before == Some(NamespaceStatus::Paused) => {
                    self.display.say(&format!("{} goes on.", self.name))?;
                }
                _ => {}
            }
        }
        for iteration in now.iterations.iter().rev() {
            let old = self
                .details
                .iter()
                .flat_map(|details| &details.iterations)
                .find(|old| old.number == iteration.number);
            // What was there at the beginning is no news, but for the newest.
            let news = match (&self.details, old) {
                (None, _) => now
                    .iterations
                    .first()
                    .is_some_and(|newest| newest.number == iteration.number),
                (Some(_), old) => old.is_none_or(|old| old.status != iteration.status),
            };
            let (number, odd) = (iteration.number, style::ODD);
            match iteration.status {
                IterationStatus::Planning if news => {
                    self.display.say(&format!(
                        "Iteration {number} is being planned, because {}.",
                        harmless(&iteration.why)
                    ))?;
                }
                IterationStatus::Current if news && self.details.is_some() => {
                    self.display.say(&format!(
                        "Iteration {number} takes over, because {}.",
                        harmless(&iteration.why)
                    ))?
                }
                IterationStatus::Refused if news => self.display.say(&format!(
                    "{odd}Iteration {number} cannot be planned:{odd:#} {}",
                    harmless(
                        iteration
                            .refusal
                            .as_deref()
                            .unwrap_or("the server says no more")
                    )
                ))?,
                _ => {}
            }
        }
        Ok(())
    }

    /// Tells how a build failed, and how to read more.
    async fn tell_failure(&mut self, key: &Key) -> Outcome {
        if self.display.is_json() || !self.builds.told.insert(key.clone()) {
            return Ok(());
        }
        let asked = self
            .session
            .client
            .build(
                self.name,
                self.builds.iteration,
                &key.architecture,
                &key.pkgbase,
                key.pass,
            )
            .await;
        let details = asked.inspect_err(|_| {
            self.builds.told.remove(key);
        })?;
        let ended = details
            .build
            .run
            .as_ref()
            .and_then(|run| Some((run, run.outcome.as_ref()?)));
        match ended {
            Some((run, ended)) => {
                let worker = run.worker.as_ref().map(|worker| format!(" on {worker}"));
                self.display.say(&harmless(&format!(
                    "      {}{}: {}",
                    outcome(ended),
                    worker.unwrap_or_default(),
                    ended.message
                )))?;
                self.display
                    .say(&format!("      log: {}", self.log_command(key)))
            }
            None => match &details.build.reason {
                Some(reason) => self.display.say(&harmless(&format!("      {reason}"))),
                None => Ok(()),
            },
        }
    }

    fn log_command(&self, key: &Key) -> String {
        let several = self
            .builds
            .keys(|_| true)
            .any(|other| other.architecture != key.architecture);
        let arch = if several {
            format!(" --arch {}", key.architecture)
        } else {
            String::new()
        };
        let superseded = self
            .details
            .as_ref()
            .and_then(followed)
            .is_some_and(|followed| followed.number != self.builds.iteration);
        let iteration = if superseded {
            format!(" --iteration {}", self.builds.iteration)
        } else {
            String::new()
        };
        format!("bbtw logs {} {}{arch}{iteration}", self.name, key.pkgbase)
    }

    fn refresh(&self) {
        let status = self
            .details
            .as_ref()
            .map(|details| details.namespace.status);
        let note = match (status, self.mode) {
            (Some(NamespaceStatus::Paused), _) => Some("paused"),
            (_, ServerMode::Run) => None,
            (_, ServerMode::Drain) => Some("the server drains"),
            (_, ServerMode::Stopped) => Some("the server is stopped"),
        };
        self.display.refresh(self.name.as_str(), &self.builds, note);
    }

    /// Says once that the server is away.
    fn lost(&self, patience: &Patience) {
        if patience.is_away() || self.display.is_json() {
            return;
        }
        let url = self.session.client.base();
        // Standard error, since it is no change of the namespace.
        let tell = || anstream::eprintln!("The server at {url} does not answer; waiting for it.");
        match &self.display {
            Display::Terminal(bar) => bar.suspend(tell),
            _ => tell(),
        }
    }
}

/// The first line of `--json`, and the first of each iteration that takes over.
#[derive(Serialize)]
struct Began<'a> {
    kind: &'static str,
    namespace: &'a NamespaceName,
    iteration: u32,
    counts: BTreeMap<BuildStatus, usize>,
}
