//! Statuses of commits on GitLab: whoever pushed an origin changeset sees there what became of it, with a
//! link to the build. Nothing depends on them, so what goes wrong is only logged.

use std::time::Duration;

use buildbtw_api::BuildStatus;

use super::Fleet;
use crate::Server;
use crate::db::commit_statuses::{self, OriginBuilds};
use crate::db::{DbError, DbResult, word};
use crate::gitlab::{CommitState, CommitStatus, ProjectId};

/// The least time between two rounds. A burst of changes makes one status.
const ROUND: Duration = Duration::from_secs(2);

/// How long is waited after GitLab did not answer.
const AWAY: Duration = Duration::from_secs(60);

/// Tells GitLab whenever something changed, for ever.
pub async fn tell(server: &Server) {
    let Some(fleet) = server
        .fleet
        .as_ref()
        .filter(|fleet| fleet.settings.commit_statuses)
    else {
        return std::future::pending().await;
    };
    let mut changed = server.feed.follow();
    loop {
        changed.borrow_and_update();
        let answered = tell_all(server, fleet).await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot tell what GitLab is to be told of commits");
            false
        });
        if answered {
            let _ = changed.changed().await;
            tokio::time::sleep(ROUND).await;
        } else {
            tokio::select! {
                () = tokio::time::sleep(AWAY) => {}
                () = fleet.back.notified() => {}
            }
        }
    }
}

/// The word under which it is noted what was said.
fn state_word(state: CommitState) -> &'static str {
    match state {
        CommitState::Pending => "pending",
        CommitState::Running => "running",
        CommitState::Success => "success",
        CommitState::Failed => "failed",
        CommitState::Canceled => "canceled",
    }
}

/// What the builds of a commit come to, those of all architectures and passes together.
fn together(statuses: &[BuildStatus]) -> CommitState {
    let any = |wanted: &[BuildStatus]| statuses.iter().any(|status| wanted.contains(status));
    if statuses.iter().any(|status| status.is_failure()) {
        CommitState::Failed
    } else if any(&[BuildStatus::Scheduled, BuildStatus::Building]) {
        CommitState::Running
    } else if any(&[BuildStatus::Blocked, BuildStatus::Pending]) {
        CommitState::Pending
    } else if any(&[BuildStatus::Cancelled]) {
        CommitState::Canceled
    } else {
        CommitState::Success
    }
}

/// Tells what GitLab was not told yet; false if it does not answer.
async fn tell_all(server: &Server, fleet: &Fleet) -> DbResult<bool> {
    let (origins, left) = {
        let mut tx = server.db.read().await?;
        let origins = commit_statuses::of_origins(&mut tx).await?;
        (origins, commit_statuses::left_behind(&mut tx).await?)
    };
    for origin in origins {
        let statuses: Result<Vec<BuildStatus>, DbError> = origin
            .statuses
            .split(' ')
            .map(|status| word("build status", status))
            .collect();
        let state = together(&statuses?);
        if origin.said.as_deref() == Some(state_word(state)) {
            continue;
        }
        let words = match state {
            CommitState::Pending => "it waits to be built",
            CommitState::Running => "it is being built",
            CommitState::Success => "it is built",
            CommitState::Failed => "it was not built",
            CommitState::Canceled => "it was called off",
        };
        if !say(server, fleet, &origin, state, words).await? {
            return Ok(false);
        }
    }
    for origin in left {
        let words = "a newer commit took its place";
        if !say(server, fleet, &origin, CommitState::Canceled, words).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Tells one status; false if GitLab does not answer.
async fn say(
    server: &Server,
    fleet: &Fleet,
    origin: &OriginBuilds,
    state: CommitState,
    words: &str,
) -> DbResult<bool> {
    let pkgbase = word("pkgbase", &origin.pkgbase)?;
    let heads = server.sources.heads();
    let project = heads
        .repository(&pkgbase)
        .and_then(|known| Some(known.address()?.id));
    if let Some(project) = project {
        let status = CommitStatus {
            state,
            name: format!("buildbtw/{}", origin.namespace_name),
            target_url: page(server, origin),
            description: format!(
                "{}, iteration {}: {words}",
                origin.namespace_name, origin.iteration
            ),
        };
        if !set(fleet, project, &origin.commit_id, &status).await {
            return Ok(false);
        }
    }
    // What GitLab refuses, it refuses again: the next change is told anew.
    let mut tx = server.db.write().await?;
    commit_statuses::said(&mut tx, origin, state_word(state)).await?;
    tx.commit().await?;
    Ok(true)
}

async fn set(fleet: &Fleet, project: ProjectId, commit: &str, status: &CommitStatus) -> bool {
    match fleet
        .gitlab
        .set_commit_status(project, commit, status)
        .await
    {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, %project, commit, "a commit on GitLab does not show what became of it");
            !error.is_away()
        }
    }
}

/// The page of a build.
fn page(server: &Server, origin: &OriginBuilds) -> String {
    format!(
        "{}/namespaces/{}/{}/{}/{}/1",
        server.base_url,
        origin.namespace_name,
        origin.iteration,
        origin.architecture,
        origin.pkgbase.replace('+', "%2B")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_anywhere_comes_first() {
        use BuildStatus::{Blocked, Building, Built, Cancelled, DependencyFailed, Reused, Waived};
        for (statuses, expected) in [
            (vec![Built, Reused, Waived], CommitState::Success),
            (vec![Built, Blocked], CommitState::Pending),
            (vec![Blocked, Building], CommitState::Running),
            (vec![Building, DependencyFailed], CommitState::Failed),
            (vec![Built, Cancelled], CommitState::Canceled),
        ] {
            assert_eq!(together(&statuses), expected, "{statuses:?}");
        }
    }
}
