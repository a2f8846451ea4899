//! Why a pipeline ended without carrying its run out, in words for people.

use crate::gitlab::{Job, PipelineStatus};

/// What it means that GitLab gives this reason for a failed job; `None` for one that says nothing of the
/// machinery.
fn reason(word: &str) -> Option<&'static str> {
    Some(match word {
        "stuck_or_timeout_failure" | "stuck_pending_no_matching_runners" => {
            "no runner took its job: none that is online has the tags that it asks for"
        }
        "runner_system_failure" => "the runner failed before the executor could claim the run",
        "runner_unsupported" => "the runner is too old or cannot do what the job asks for",
        "runner_configuration_error" => "the runner is not set up right",
        "runner_interrupted" => "the runner was shut down",
        "job_execution_timeout" => "the job took longer than GitLab lets it",
        "no_updates_running" | "no_updates_canceling" => "the runner fell silent",
        "ci_quota_exceeded" => "the quota of CI minutes is used up",
        "user_blocked" => "the user whose token is used is blocked",
        "project_deleted" => "the project is being deleted",
        "api_failure" | "scheduler_failure" | "data_integrity_failure" => "GitLab itself failed",
        "job_token_expired" => "the job's token expired before it was over",
        _ => return None,
    })
}

/// Why a pipeline that is over carried nothing out; its jobs are known where it failed.
pub fn why_unclaimed(status: &PipelineStatus, jobs: &[Job]) -> String {
    match status {
        PipelineStatus::Success => {
            "its pipeline on GitLab ended well, but no executor of buildbtw claimed the run: \
             the runner that took the job has another executor"
                .to_owned()
        }
        PipelineStatus::Canceled | PipelineStatus::Canceling => {
            "its pipeline was cancelled on GitLab before a runner claimed the run".to_owned()
        }
        PipelineStatus::Skipped => {
            "its pipeline was skipped on GitLab; nothing claimed the run".to_owned()
        }
        _ => {
            let failed = jobs
                .iter()
                .find_map(|job| Some((job, job.failure_reason.as_deref()?)));
            match failed {
                Some((_, word)) if reason(word).is_some() => format!(
                    "its pipeline on GitLab failed: {} ({word})",
                    reason(word).unwrap_or_default()
                ),
                Some((job, "script_failure")) => format!(
                    "the script of its job {} failed on GitLab before the run was claimed (script_failure): \
                     the runner that took it may have another executor, or its doctor says what is wrong",
                    job.name
                ),
                Some((job, word)) => format!(
                    "its job {} failed on GitLab before the run was claimed ({word})",
                    job.name
                ),
                None => "its pipeline failed on GitLab before the run was claimed".to_owned(),
            }
        }
    }
}

/// That it is gone.
pub const DELETED: &str = "its pipeline was deleted on GitLab, or the project with it";

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(reason: Option<&str>) -> String {
        let job = Job {
            id: 1,
            name: "build".to_owned(),
            status: PipelineStatus::Failed,
            failure_reason: reason.map(str::to_owned),
            web_url: String::new(),
        };
        why_unclaimed(&PipelineStatus::Failed, &[job])
    }

    #[test]
    fn each_way_to_end_is_said_in_words_with_gitlabs_own() {
        for (word, words) in [
            ("stuck_or_timeout_failure", "no runner took its job"),
            ("runner_system_failure", "the runner failed"),
            ("ci_quota_exceeded", "quota"),
            ("script_failure", "script of its job build failed"),
            ("reason_of_the_future", "failed on GitLab before"),
        ] {
            let text = failed(Some(word));
            assert!(text.contains(words) && text.contains(word), "{text}");
        }
        assert!(failed(None).contains("before the run was claimed"));
        for (status, words) in [
            (PipelineStatus::Success, "another executor"),
            (PipelineStatus::Canceled, "cancelled on GitLab"),
            (PipelineStatus::Skipped, "skipped"),
        ] {
            assert!(why_unclaimed(&status, &[]).contains(words));
        }
    }
}
