//! One run, from the claim to the last report.

use std::time::Duration;

use buildbtw_api::ProblemType;
use buildbtw_api::client::ClientError;
use buildbtw_api::runs::{Assignment, FinishReport, Step};
use buildbtw_build::{BuildEvent, BuildOutcome, OutcomeClass};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::folder::RunFolder;
use crate::held::{Hold, Stop};
use crate::retry::{Undelivered, deliver};
use crate::source::NoSource;
use crate::spool::Spool;
use crate::{Workplace, log, order, packages, source, spool, steps};

/// How many events of a build may wait to be written down.
const EVENTS: usize = 256;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// It ended like this, and the server knows.
    Reported(Report),
    /// It was taken away: why, in words.
    Lost(String),
    /// How it ended could not be reported. Its lease will end.
    Unreported,
}

/// How a run ended, as it was reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose business it is.
    pub class: buildbtw_api::OutcomeClass,
    /// What happened, in words.
    pub message: String,
    /// The exit code of makepkg, where it ran to an end.
    pub exit_code: Option<i32>,
}

/// Carries out a run and reports how it ended, unless it is taken away meanwhile. What the build says
/// goes to `listener`, too, if there is one; the build waits for it as it does for the disk.
pub async fn carry_out(
    place: &Workplace,
    assignment: Assignment,
    hold: Hold,
    listener: Option<mpsc::Sender<BuildEvent>>,
) -> RunEnd {
    let build = &assignment.build;
    tracing::info!(
        run = %hold.run, namespace = %assignment.namespace, iteration = assignment.iteration,
        pkgbase = %build.pkgbase, version = %build.version, architecture = %build.architecture,
        "a run begins"
    );
    let ended = match place.folder.run(hold.run) {
        Ok(folder) => {
            let ended = in_folder(place, &assignment, &hold, &folder, listener).await;
            folder.remove().await;
            ended
        }
        Err(error) => {
            let outcome =
                BuildOutcome::infrastructure(format!("cannot make the run's folder: {error}"));
            finish(place, &hold, Ending::of(outcome), Vec::new()).await
        }
    };
    match (ended, hold.stopped()) {
        (_, Some(Stop::Lost(reason))) => {
            tracing::warn!(run = %hold.run, pkgbase = %build.pkgbase, reason, "a run was taken away");
            RunEnd::Lost(reason)
        }
        (Err(Undelivered::Lost), _) => {
            tracing::warn!(run = %hold.run, pkgbase = %build.pkgbase, "a run was taken away at its end");
            RunEnd::Lost("the run was taken away at its end".to_owned())
        }
        (Ok(report), _) => {
            tracing::info!(run = %hold.run, pkgbase = %build.pkgbase, class = %report.class, "a run is over");
            RunEnd::Reported(report)
        }
        (Err(error), _) => {
            tracing::error!(
                run = %hold.run, pkgbase = %build.pkgbase, ?error,
                "how a run ended could not be reported; its lease will end"
            );
            RunEnd::Unreported
        }
    }
}

/// How a run ended, before its packages are sent.
struct Ending {
    outcome: BuildOutcome,
    steps: Vec<Step>,
}

impl Ending {
    fn of(outcome: BuildOutcome) -> Self {
        Self {
            outcome,
            steps: Vec::new(),
        }
    }
}

async fn in_folder(
    place: &Workplace,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
    listener: Option<mpsc::Sender<BuildEvent>>,
) -> Result<Report, Undelivered> {
    let (spool, reader) = match spool::create(&folder.log()).await {
        Ok(ends) => ends,
        Err(error) => {
            let outcome =
                BuildOutcome::infrastructure(format!("cannot make the log's file: {error}"));
            return finish(place, hold, Ending::of(outcome), Vec::new()).await;
        }
    };
    let (step_sender, step_receiver) = watch::channel(Vec::new());
    let (ending, log_end, steps_end) = tokio::join!(
        async {
            let story = Story {
                spool,
                steps: step_sender,
                listener,
            };
            build(place, assignment, hold, folder, story).await
        },
        or_lose(hold, log::send(place, hold, reader)),
        or_lose(hold, steps::send(place, hold, step_receiver)),
    );
    for (what, end) in [("log", log_end), ("steps", steps_end)] {
        match end {
            Ok(()) => {}
            Err(Undelivered::Lost) => return Err(Undelivered::Lost),
            // The packages are worth more than the log.
            Err(error) => {
                tracing::error!(run = %hold.run, ?error, "the {what} of a run could not be reported");
            }
        }
    }
    match send_packages(place, hold, &ending.outcome).await? {
        Ok(names) => finish(place, hold, ending, names).await,
        Err(outcome) => finish(place, hold, Ending { outcome, ..ending }, Vec::new()).await,
    }
}

/// Passes a result on, and ends the build at once when it says that the run is lost.
async fn or_lose(
    hold: &Hold,
    sending: impl Future<Output = Result<(), Undelivered>>,
) -> Result<(), Undelivered> {
    let sent = sending.await;
    if matches!(sent, Err(Undelivered::Lost)) {
        hold.lose();
    }
    sent
}

/// Where it is written down what a build says. Dropping it at the end lets those end who send it on.
struct Story {
    spool: Spool,
    steps: watch::Sender<Vec<Step>>,
    listener: Option<mpsc::Sender<BuildEvent>>,
}

impl Story {
    /// Passes something on to the listener, as long as it listens.
    async fn tell(&mut self, event: &BuildEvent) {
        if let Some(listener) = &self.listener
            && listener.send(event.clone()).await.is_err()
        {
            self.listener = None;
        }
    }
}

/// Fetches the source and has it built.
async fn build(
    place: &Workplace,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
    mut story: Story,
) -> Ending {
    let began = Instant::now();
    let fetched = tokio::select! {
        fetched = fetch(place, assignment, hold, folder) => fetched,
        () = hold.build.cancelled() => Err(BuildOutcome::failure(OutcomeClass::Cancelled, "stopped")),
    };
    let mut result = match fetched {
        Ok(()) => {
            let request = order::request(place, &assignment.build, folder.source());
            let work = folder.work();
            let since_start = began.elapsed();
            let (sender, events) = mpsc::channel(EVENTS);
            let (result, written) = tokio::join!(
                buildbtw_build::carry_out(
                    &place.builder,
                    &request,
                    &work,
                    sender,
                    hold.build.clone()
                ),
                write_down(hold, events, &mut story, since_start),
            );
            match written {
                Ok(()) => result,
                Err(error) => BuildOutcome::infrastructure(format!(
                    "the worker could not keep the build's log: {error}"
                )),
            }
        }
        Err(outcome) => outcome,
    };
    if result.class == OutcomeClass::Cancelled {
        match hold.stopped() {
            Some(Stop::GivenBack(why)) => result.message = why,
            Some(Stop::Shutdown(why)) => result = BuildOutcome::infrastructure(why),
            Some(Stop::Lost(_)) | None => {}
        }
    }
    if result.class != OutcomeClass::Success {
        let last = format!("==> {}: {}\n", order::class(result.class), result.message);
        // The outcome itself is reported all the same.
        if let Err(error) = story.spool.append(last.as_bytes()).await {
            tracing::warn!(run = %hold.run, %error, "cannot write the last line of a log");
        }
        story.tell(&BuildEvent::Log(last.into())).await;
    }
    Ending {
        outcome: result,
        steps: story.steps.borrow().clone(),
    }
}

async fn fetch(
    place: &Workplace,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
) -> Result<(), BuildOutcome> {
    let limit = place.limits.disk;
    let (from, to) = (&assignment.build.source, folder.source());
    let (class, message) = match source::fetch(place, hold, from, &to, limit).await {
        Ok(()) => return Ok(()),
        Err(NoSource::Missing(error)) => (
            OutcomeClass::Sources,
            format!("the server has no source tarball for this run: {error}"),
        ),
        Err(NoSource::TooLarge) => (
            OutcomeClass::Sources,
            format!(
                "the source tarball is larger than the {limit} bytes that a build may take on disk"
            ),
        ),
        Err(NoSource::Undelivered(Undelivered::Refused(error))) => (
            OutcomeClass::Sources,
            format!("the server does not give out the source tarball: {error}"),
        ),
        Err(NoSource::Undelivered(Undelivered::Disk(error))) => (
            OutcomeClass::Infrastructure,
            format!("the worker cannot keep the source tarball: {error}"),
        ),
        Err(NoSource::Undelivered(Undelivered::Lost | Undelivered::Gap { .. })) => {
            (OutcomeClass::Cancelled, "the run was taken away".to_owned())
        }
    };
    Err(BuildOutcome::failure(class, message))
}

/// Writes down what a build says until it is over. When that fails, the build is stopped.
async fn write_down(
    hold: &Hold,
    mut events: mpsc::Receiver<BuildEvent>,
    story: &mut Story,
    since_start: Duration,
) -> std::io::Result<()> {
    let mut written = Ok(());
    let mut waiting = Vec::with_capacity(EVENTS);
    let mut part = Vec::new();
    // To the end, even when nothing can be written any more: the builder must not wait for us.
    while events.recv_many(&mut waiting, EVENTS).await > 0 {
        for event in waiting.drain(..) {
            story.tell(&event).await;
            match event {
                // Many small writes at once become one.
                BuildEvent::Log(more) => part.extend_from_slice(&more),
                BuildEvent::Step(step) => {
                    let enter = |steps: &mut Vec<Step>| steps::enter(steps, step, since_start);
                    story.steps.send_modify(enter);
                }
                // The outcome has it again; it is reported once.
                BuildEvent::Installed(_) => {}
            }
        }
        if written.is_ok() && !part.is_empty() {
            written = story.spool.append(&part).await;
            if written.is_err() {
                hold.build.cancel();
            }
        }
        part.clear();
    }
    written
}

/// Sends the packages of a build that succeeded and hands back their file names. The inner error
/// is how the run ends when the server or the disk refuses one.
async fn send_packages(
    place: &Workplace,
    hold: &Hold,
    outcome: &BuildOutcome,
) -> Result<Result<Vec<String>, BuildOutcome>, Undelivered> {
    let mut names = Vec::new();
    if outcome.class != OutcomeClass::Success {
        return Ok(Ok(names));
    }
    for path in &outcome.packages {
        match packages::send(place, hold, path).await {
            Ok(name) => names.push(name),
            Err(Undelivered::Refused(error)) => {
                let class = if blames_package(&error) {
                    OutcomeClass::Package
                } else {
                    OutcomeClass::Infrastructure
                };
                return Ok(Err(BuildOutcome {
                    class,
                    message: format!("the server refused {}: {error}", file_name(path)),
                    ..outcome.clone()
                }));
            }
            Err(Undelivered::Disk(error)) => {
                return Ok(Err(BuildOutcome {
                    class: OutcomeClass::Infrastructure,
                    message: format!("the worker cannot read {}: {error}", file_name(path)),
                    ..outcome.clone()
                }));
            }
            Err(error) => {
                hold.lose();
                return Err(error);
            }
        }
    }
    Ok(Ok(names))
}

fn file_name(path: &std::path::Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Whether the server found fault with the package itself.
fn blames_package(error: &ClientError) -> bool {
    error.problem().is_some_and(|problem| {
        matches!(
            problem.kind,
            ProblemType::UnexpectedPackage | ProblemType::TooLarge | ProblemType::InvalidName
        )
    })
}

/// Reports how the run ended.
async fn finish(
    place: &Workplace,
    hold: &Hold,
    ending: Ending,
    packages: Vec<String>,
) -> Result<Report, Undelivered> {
    if hold.lost.is_cancelled() {
        return Err(Undelivered::Lost);
    }
    hold.begin_finish();
    let class = order::class(ending.outcome.class);
    let report = FinishReport {
        fence: hold.fence,
        class,
        message: ending.outcome.message,
        exit_code: ending.outcome.exit_code,
        failed_step: ending.outcome.failed_step,
        steps: ending.steps,
        installed: order::installed(ending.outcome.installed),
        packages,
    };
    let delivered = deliver("the end of a run", &hold.lost, &place.reach, || {
        place.client.finish_run(hold.run, &report)
    });
    delivered.await?;
    Ok(Report {
        class,
        message: report.message,
        exit_code: report.exit_code,
    })
}
