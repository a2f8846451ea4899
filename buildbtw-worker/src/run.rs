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
use crate::{Worker, log, order, packages, source, spool, steps};

/// How many events of a build may wait to be written down.
const EVENTS: usize = 256;

/// Carries out a run and reports how it ended, unless it is taken away meanwhile.
pub async fn carry_out(worker: &Worker, assignment: Assignment, hold: Hold) {
    let build = &assignment.build;
    tracing::info!(
        run = %hold.run, namespace = %assignment.namespace, iteration = assignment.iteration,
        pkgbase = %build.pkgbase, version = %build.version, architecture = %build.architecture,
        "a run begins"
    );
    let ended = match worker.folder.run(hold.run) {
        Ok(folder) => {
            let ended = in_folder(worker, &assignment, &hold, &folder).await;
            folder.remove().await;
            ended
        }
        Err(error) => {
            let outcome =
                BuildOutcome::infrastructure(format!("cannot make the run's folder: {error}"));
            finish(worker, &hold, Ending::of(outcome), Vec::new()).await
        }
    };
    match (ended, hold.stopped()) {
        (_, Some(Stop::Lost(reason))) => {
            tracing::warn!(run = %hold.run, pkgbase = %build.pkgbase, reason, "a run was taken away");
        }
        (Err(Undelivered::Lost), _) => {
            tracing::warn!(run = %hold.run, pkgbase = %build.pkgbase, "a run was taken away at its end");
        }
        (Ok(class), _) => {
            tracing::info!(run = %hold.run, pkgbase = %build.pkgbase, %class, "a run is over");
        }
        (Err(error), _) => {
            tracing::error!(
                run = %hold.run, pkgbase = %build.pkgbase, ?error,
                "how a run ended could not be reported; its lease will end"
            );
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
    worker: &Worker,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
) -> Result<buildbtw_api::OutcomeClass, Undelivered> {
    let (spool, reader) = match spool::create(&folder.log()).await {
        Ok(ends) => ends,
        Err(error) => {
            let outcome =
                BuildOutcome::infrastructure(format!("cannot make the log's file: {error}"));
            return finish(worker, hold, Ending::of(outcome), Vec::new()).await;
        }
    };
    let (step_sender, step_receiver) = watch::channel(Vec::new());
    let (ending, log_end, steps_end) = tokio::join!(
        build(worker, assignment, hold, folder, spool, step_sender),
        or_lose(hold, log::send(worker, hold, reader)),
        or_lose(hold, steps::send(worker, hold, step_receiver)),
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
    match send_packages(worker, hold, &ending.outcome).await? {
        Ok(names) => finish(worker, hold, ending, names).await,
        Err(outcome) => finish(worker, hold, Ending { outcome, ..ending }, Vec::new()).await,
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

/// Fetches the source and has it built. Dropping the spool and the steps at the end lets their
/// senders end, too.
async fn build(
    worker: &Worker,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
    mut spool: Spool,
    steps: watch::Sender<Vec<Step>>,
) -> Ending {
    let began = Instant::now();
    let fetched = tokio::select! {
        fetched = fetch(worker, assignment, hold, folder) => fetched,
        () = hold.build.cancelled() => Err(BuildOutcome::failure(OutcomeClass::Cancelled, "stopped")),
    };
    let mut result = match fetched {
        Ok(()) => {
            let request = order::request(worker, &assignment.build, folder.source());
            let work = folder.work();
            let since_start = began.elapsed();
            let (sender, events) = mpsc::channel(EVENTS);
            let (result, written) = tokio::join!(
                buildbtw_build::carry_out(
                    &worker.builder,
                    &request,
                    &work,
                    sender,
                    hold.build.clone()
                ),
                write_down(hold, events, &mut spool, &steps, since_start),
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
    if result.class == OutcomeClass::Cancelled && hold.stopped() == Some(Stop::Shutdown) {
        result = BuildOutcome::infrastructure(format!("worker {} was shut down", worker.name));
    }
    if result.class != OutcomeClass::Success {
        let last = format!("==> {}: {}\n", order::class(result.class), result.message);
        // The outcome itself is reported all the same.
        if let Err(error) = spool.append(last.as_bytes()).await {
            tracing::warn!(run = %hold.run, %error, "cannot write the last line of a log");
        }
    }
    Ending {
        outcome: result,
        steps: steps.borrow().clone(),
    }
}

async fn fetch(
    worker: &Worker,
    assignment: &Assignment,
    hold: &Hold,
    folder: &RunFolder,
) -> Result<(), BuildOutcome> {
    let limit = worker.limits.disk;
    let (from, to) = (&assignment.build.source, folder.source());
    let (class, message) = match source::fetch(worker, hold, from, &to, limit).await {
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
    spool: &mut Spool,
    steps: &watch::Sender<Vec<Step>>,
    since_start: Duration,
) -> std::io::Result<()> {
    let mut written = Ok(());
    let mut waiting = Vec::with_capacity(EVENTS);
    let mut part = Vec::new();
    // To the end, even when nothing can be written any more: the builder must not wait for us.
    while events.recv_many(&mut waiting, EVENTS).await > 0 {
        for event in waiting.drain(..) {
            match event {
                // Many small writes at once become one.
                BuildEvent::Log(more) => part.extend_from_slice(&more),
                BuildEvent::Step(step) => {
                    steps.send_modify(|steps| steps::enter(steps, step, since_start));
                }
                // The outcome has it again; it is reported once.
                BuildEvent::Installed(_) => {}
            }
        }
        if written.is_ok() && !part.is_empty() {
            written = spool.append(&part).await;
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
    worker: &Worker,
    hold: &Hold,
    outcome: &BuildOutcome,
) -> Result<Result<Vec<String>, BuildOutcome>, Undelivered> {
    let mut names = Vec::new();
    if outcome.class != OutcomeClass::Success {
        return Ok(Ok(names));
    }
    for path in &outcome.packages {
        match packages::send(worker, hold, path).await {
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
    worker: &Worker,
    hold: &Hold,
    ending: Ending,
    packages: Vec<String>,
) -> Result<buildbtw_api::OutcomeClass, Undelivered> {
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
    let delivered = deliver("the end of a run", &hold.lost, &worker.reach, || {
        worker.client.finish_run(hold.run, &report)
    });
    delivered.await.map(|()| class)
}
