//! What ends a job before its time: GitLab's word, the job's timeout, the Runner's end.

use tokio::sync::watch;

use super::JobEnd;
use crate::FakeGitLab;
use crate::pipelines::Status;

/// Why a job is not carried to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// A person cancelled it: the script is ended, the stages after it are not.
    Cancelled,
    /// GitLab does not know the job as running any more.
    Dropped,
    /// Its time is up.
    TimeUp,
    /// The Runner is shut down.
    Shutdown,
}

/// Hears what ends the job before its time. The last word counts: a cancel may become more.
pub async fn listen(
    fake: &FakeGitLab,
    job: u64,
    time_up: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
    sender: watch::Sender<Option<Ended>>,
) -> std::convert::Infallible {
    let mut changes = fake.shared().changes.subscribe();
    let (mut stop, mut time_up) = (std::pin::pin!(stop), std::pin::pin!(time_up));
    let mut running = true;
    loop {
        let heard = match fake.job(job).map(|job| job.status) {
            Some(Status::Canceling) => Some(Ended::Cancelled),
            Some(Status::Running) => None,
            _ => Some(Ended::Dropped),
        };
        if let Some(heard) = heard {
            sender.send_if_modified(|ended| {
                let news =
                    ended.is_none() || (*ended == Some(Ended::Cancelled) && *ended != Some(heard));
                if news {
                    *ended = Some(heard);
                }
                news
            });
        }
        tokio::select! {
            // The sender lives as long as the fake.
            _ = changes.changed() => {}
            () = &mut time_up, if running => {
                running = false;
                sender.send_replace(Some(Ended::TimeUp));
            }
            () = &mut stop, if running => {
                running = false;
                sender.send_replace(Some(Ended::Shutdown));
            }
        }
    }
}

/// How a job ends that did not come to its end.
pub fn end_of(ended: Ended) -> JobEnd {
    match ended {
        Ended::Cancelled | Ended::Dropped => JobEnd::Canceled,
        Ended::TimeUp => JobEnd::Failure("job_execution_timeout"),
        Ended::Shutdown => JobEnd::Failure("runner_system_failure"),
    }
}
