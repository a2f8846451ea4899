//! The stage of the user's script: claims the job's run and carries it out.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context, bail};
use buildbtw_api::client::{Client, ClientError};
use buildbtw_api::jobs::{ClaimedRun, JobClaim};
use buildbtw_api::workers::WorkerOffer;
use buildbtw_api::{OutcomeClass, WORKER_PROTOCOL};
use buildbtw_worker::Workplace;
use buildbtw_worker::folder::{Folder, FolderError};
use buildbtw_worker::heartbeat::{self, Beaten};
use buildbtw_worker::held::Stop;
use buildbtw_worker::retry::{Backoff, may_pass};
use buildbtw_worker::run::{self, Report, RunEnd};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::codes::Verdict;
use crate::host::Host;
use crate::job::Job;
use crate::job_log::JobLog;
use crate::{jobs, published};

/// How many events of a build may wait for the job's log.
const EVENTS: usize = 256;

/// How long the build's end and its last reports may take when the job is aborted.
const LAST_REPORTS: Duration = Duration::from_secs(10);

/// How long a run that reports nothing any more may take to clear up.
const CLEARING: Duration = Duration::from_secs(5);

/// How long the threads may take that read and write files when all is over.
const FILES: Duration = Duration::from_secs(2);

/// Whether a stage is that of the user's script: `build_script` to this day, `step_script` by the
/// Runner's own plans. Everything else (git, caches, artifacts) is not needed here.
pub fn is_the_script(stage: &str) -> bool {
    matches!(stage, "build_script" | "step_script")
}

/// Claims the job's run, carries it out, and says what the Runner is to think of it.
///
/// # Errors
///
/// When it could not be begun.
pub fn carry_out(host: &Host, job: &Job) -> anyhow::Result<Verdict> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let verdict = runtime.block_on(work(host, job));
    // A Runner that reads nothing any more must not keep this process alive.
    runtime.shutdown_timeout(FILES);
    verdict
}

/// The Runner's wish that this call ends: the job was cancelled, ran out of time, or the Runner stops.
/// It does not say which.
struct Abort {
    terminate: Signal,
    interrupt: Signal,
}

impl Abort {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wanted(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

async fn work(host: &Host, job: &Job) -> anyhow::Result<Verdict> {
    let mut abort = Abort::listen().context("cannot listen for signals")?;
    let claimed = tokio::select! {
        claimed = begin(host, job) => claimed?,
        () = abort.wanted() => bail!("the Runner ended the job before its run was claimed"),
    };
    let Begun {
        place,
        claim,
        claimed,
    } = claimed;
    let assignment = claimed.assignment.clone();
    let build = &assignment.build;
    let mut log = JobLog::new(tokio::io::stdout());
    let address = place.client.base();
    let first = format!(
        "Run {run} of {namespace}/{iteration}: {pkgbase} {version} for {architecture}.\n\
         Its log: {address}runs/{run}/log\n\
         Its source is the one that buildbtw pinned; the commit of this pipeline only chose the CI \
         configuration.",
        run = assignment.run,
        namespace = assignment.namespace,
        iteration = assignment.iteration,
        pkgbase = build.pkgbase,
        version = build.version,
        architecture = build.architecture,
    );
    // If nobody reads the job's log, the server's still has everything.
    let _ = log.line(&first).await;
    let Some(hold) = place.held.hold(assignment.run, assignment.fence) else {
        bail!("the run is carried out already");
    };
    let (sender, events) = mpsc::channel(EVENTS);
    let mut carrying = pin!(async {
        let carrying = run::carry_out(&place, assignment, hold, Some(sender));
        let (end, ()) = tokio::join!(carrying, log.follow(events));
        end
    });
    let mut beating = pin!(stay_in_touch(&place, job, &claim, claimed));
    // In one task, so that a fault in either ends both.
    let mut on = pin!(async {
        tokio::select! {
            end = &mut carrying => end,
            never = &mut beating => match never {},
        }
    });
    let end = tokio::select! {
        end = &mut on => Some(end),
        () = abort.wanted() => None,
    };
    let end = match end {
        Some(end) => Some(end),
        None => {
            eprintln!("The Runner ends this job: the build is stopped, and the server told so.");
            place.held.shut_down(&format!(
                "GitLab's job {} was ended: it was cancelled or ran out of time, or its Runner stopped",
                job.id
            ));
            match timeout(LAST_REPORTS, &mut on).await {
                Ok(end) => Some(end),
                Err(_) => {
                    place.held.abandon();
                    timeout(CLEARING, &mut on).await.ok()
                }
            }
        }
    };
    let verdict = end.map_or_else(
        || Verdict::System("not everything could be cleared away; `cleanup` does it".to_owned()),
        verdict,
    );
    if verdict != Verdict::Good {
        return Ok(verdict);
    }
    Ok(tokio::select! {
        verdict = published::verdict(&place.client, job.run) => verdict,
        // What was built is not lost by that, and the job is cancelled whatever is said here.
        () = abort.wanted() => Verdict::Good,
    })
}

/// What the Runner is to think of a run: only what is the package's own is a fault of the build.
fn verdict(end: RunEnd) -> Verdict {
    match end {
        RunEnd::Reported(Report {
            class: OutcomeClass::Success,
            ..
        }) => Verdict::Good,
        RunEnd::Reported(Report {
            class: OutcomeClass::Package,
            exit_code,
            ..
        }) => Verdict::Build(exit_code),
        RunEnd::Reported(Report { class, message, .. }) => {
            Verdict::System(format!("the run ended as {class}: {message}"))
        }
        RunEnd::Lost(reason) => Verdict::System(format!("the server took the run away: {reason}")),
        RunEnd::Unreported => {
            Verdict::System("how the run ended could not be reported to the server".to_owned())
        }
    }
}

/// A run that was claimed, and where it is carried out.
struct Begun {
    place: Workplace,
    claim: JobClaim,
    claimed: ClaimedRun,
}

async fn begin(host: &Host, job: &Job) -> anyhow::Result<Begun> {
    let client = host.server(&job.server)?.client()?;
    let path = jobs::of(host, job.id);
    let folder = Folder::open(&path).map_err(|error| match error {
        FolderError::Taken(_) => {
            anyhow::anyhow!("job {} is carried out by another process already", job.id)
        }
        other => other.into(),
    })?;
    // `cleanup` waits for the lock, and removes what it finds then.
    folder.stay_locked()?;
    let setup = host.setup();
    let (builder, offer) = buildbtw_worker::builder::prepare(setup, &folder.runs()).await?;
    let claim = claim_of(host, job, offer);
    let claimed = claim_run(host, &client, job, &claim).await?;
    if claimed.assignment.run != job.run {
        bail!("the server handed out another run than was asked for");
    }
    let place = Workplace::new(client, builder, setup.limits.clone(), folder);
    place.limit_uploads(claimed.upload_limit);
    Ok(Begun {
        place,
        claim,
        claimed,
    })
}

fn claim_of(host: &Host, job: &Job, offer: WorkerOffer) -> JobClaim {
    JobClaim {
        protocol: WORKER_PROTOCOL,
        job: job.id,
        pipeline: job.pipeline,
        commit: job.commit.clone(),
        job_url: job.url.clone(),
        name: host.name.clone(),
        offer,
    }
}

/// Claims the run. A server that does not answer may be back soon, and whatever came of an earlier
/// request, the same job gets the same answer.
async fn claim_run(
    host: &Host,
    client: &Client,
    job: &Job,
    claim: &JobClaim,
) -> anyhow::Result<ClaimedRun> {
    let end = Instant::now() + host.patience;
    let mut backoff = Backoff::default();
    loop {
        let error = match client.claim_job(job.run, claim).await {
            Ok(claimed) => return Ok(claimed),
            Err(error) => error,
        };
        if !is_passing(&error) {
            return Err(error).context(format!("run {} cannot be claimed", job.run));
        }
        let wait = backoff.wait();
        if Instant::now() + wait >= end {
            return Err(error).context(format!(
                "run {} could not be claimed within {:?}",
                job.run, host.patience
            ));
        }
        tracing::warn!(%error, "cannot claim the run; trying again in {wait:.1?}");
        tokio::time::sleep(wait).await;
    }
}

fn is_passing(error: &ClientError) -> bool {
    error.is_passing() && may_pass(error)
}

/// Sends signs of life as long as it is polled. To a server that lost this worker the claim is said
/// again.
async fn stay_in_touch(
    place: &Workplace,
    job: &Job,
    claim: &JobClaim,
    mut claimed: ClaimedRun,
) -> Infallible {
    loop {
        let interval = heartbeat::interval(claimed.heartbeat_ms);
        if let Beaten::Unknown = heartbeat::send(place, claimed.worker, interval).await {
            match place.client.claim_job(job.run, claim).await {
                Ok(again) if again.assignment.fence == claimed.assignment.fence => claimed = again,
                Ok(_) => stop(place, job, "the server gave the run another number"),
                Err(error) if is_passing(&error) => heartbeat::missed(place, &error.to_string()),
                Err(error) => stop(place, job, &error.to_string()),
            }
        }
        tokio::time::sleep(interval).await;
    }
}

fn stop(place: &Workplace, job: &Job, why: &str) {
    place.held.stop(job.run, Stop::Lost(why.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reported(class: OutcomeClass) -> Verdict {
        verdict(RunEnd::Reported(Report {
            class,
            message: "because".to_owned(),
            exit_code: Some(4),
        }))
    }

    #[test]
    fn only_the_package_is_a_fault_of_the_build() {
        assert_eq!(reported(OutcomeClass::Success), Verdict::Good);
        assert_eq!(reported(OutcomeClass::Package), Verdict::Build(Some(4)));
        for class in [
            OutcomeClass::Sources,
            OutcomeClass::Dependencies,
            OutcomeClass::Timeout,
            OutcomeClass::Infrastructure,
            OutcomeClass::Cancelled,
        ] {
            assert!(matches!(reported(class), Verdict::System(_)), "{class}");
        }
        for end in [RunEnd::Lost("superseded".to_owned()), RunEnd::Unreported] {
            assert!(matches!(verdict(end), Verdict::System(_)));
        }
    }
}
