//! What must hold after every step, and at the end.

use std::collections::BTreeSet;

use buildbtw_api::{BuildStatus, NamespaceStatus, OutcomeClass, RunId, RunStatus, WorkerMode};
use buildbtw_server::clock;
use buildbtw_server::db::{
    audit, builds, iterations, namespaces, ready, runs, suspicions, workers,
};
use std::time::Duration;

use super::world::{Event, Violation, World};

impl World {
    /// The database contradicts itself nowhere, and every lease that is out can end.
    pub async fn check(&mut self) -> Result<(), Violation> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        // What nothing was committed to contradicts itself no more than before.
        let commits = Some(server.db.commits());
        if self.looked_at != commits {
            self.looked_at = commits;
            let found = audit::contradictions(&mut tx).await;
            let found = found.map_err(Violation::of)?;
            if !found.is_empty() {
                return Err(Violation(found.join("\n")));
            }
        }
        for run in runs::open(&mut tx).await.map_err(Violation::of)? {
            let held = server
                .dispatch
                .leases
                .is_held(run.id().map_err(Violation::of)?, run.fence());
            let publishing = run.status().map_err(Violation::of)? == RunStatus::Publishing;
            if held == publishing {
                let run = run.id().map_err(Violation::of)?;
                return Err(Violation(format!("run {run} is open, and held: {held}")));
            }
        }
        let now = clock::now().as_microsecond();
        let standing = ready::standing(&mut tx, now).await;
        if let Some(at) = standing.map_err(Violation::of)?.until {
            let wait = Duration::from_micros((at - now).unsigned_abs());
            self.after(wait, Event::Nudge);
        }
        Ok(())
    }

    /// A worker that fails everything is not left to have three packages blamed for it, while there is
    /// another that could try them.
    pub async fn check_blame(&self) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        let alive = |id| server.dispatch.leases.is_alive(id, clock::instant());
        let mut all = workers::all(&mut tx).await.map_err(Violation::of)?;
        all.retain(|worker| worker.mode == WorkerMode::Active && alive(worker.id));
        let corrupt = self.workers.iter().filter(|worker| worker.corrupt);
        let corrupt: Vec<_> = corrupt.filter_map(|worker| worker.id).collect();
        if all.iter().all(|worker| corrupt.contains(&worker.id)) {
            return Ok(());
        }
        for worker in all.iter().filter(|worker| corrupt.contains(&worker.id)) {
            let mut blamed = BTreeSet::new();
            let failures = suspicions::failures(&mut tx, worker.key);
            for failure in failures.await.map_err(Violation::of)? {
                let failed = failure.status().map_err(Violation::of)? == BuildStatus::Failed;
                let current = failure.is_current().map_err(Violation::of)?;
                if failed && current && failure.in_a_row && failure.verdict == "unknown" {
                    blamed.insert(failure.pkgbase);
                }
            }
            if blamed.len() >= 3 {
                return Err(Violation(format!(
                    "{} fails everything, and {blamed:?} are blamed for it",
                    worker.name
                )));
            }
        }
        Ok(())
    }

    /// How many transactions the server that runs has committed.
    pub fn commits(&self) -> Option<u64> {
        self.server.as_ref().map(|server| server.db.commits())
    }

    /// Whether a run is still to be reported from.
    pub async fn is_open(&self, run: RunId) -> Result<bool, Violation> {
        let Some(server) = &self.server else {
            return Ok(false);
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        let Some(state) = runs::state(&mut tx, run).await.map_err(Violation::of)? else {
            return Ok(false);
        };
        let status = state.status().map_err(Violation::of)?;
        Ok(matches!(status, RunStatus::Scheduled | RunStatus::Running))
    }

    /// Whether a run was called off.
    pub async fn was_called_off(&self, run: RunId) -> Result<bool, Violation> {
        let Some(server) = &self.server else {
            return Ok(true);
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        let state = runs::state(&mut tx, run).await.map_err(Violation::of)?;
        let class = state.map(|state| state.class()).transpose();
        Ok(class.map_err(Violation::of)?.flatten() == Some(OutcomeClass::Cancelled))
    }

    /// Whether nothing is left to do that could be done.
    pub async fn is_over(&self) -> Result<bool, Violation> {
        Ok(self.server.is_some() && self.open_work().await?.is_empty())
    }

    /// What is left to do, by namespace and build.
    pub async fn open_work(&self) -> Result<String, Violation> {
        let Some(server) = &self.server else {
            return Ok("the server is down".to_owned());
        };
        let open: Vec<BuildStatus> = BuildStatus::ALL
            .iter()
            .copied()
            .filter(|status| !status.is_final())
            .collect();
        let mut left = Vec::new();
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        for name in self.namespaces.keys() {
            let namespace = namespaces::by_name(&mut tx, name)
                .await
                .map_err(Violation::of)?;
            let Some(namespace) =
                namespace.filter(|namespace| namespace.status == NamespaceStatus::Active)
            else {
                continue;
            };
            let Some(newest) = iterations::newest(&mut tx, namespace.key)
                .await
                .map_err(Violation::of)?
            else {
                continue;
            };
            for build in builds::in_statuses(&mut tx, newest.key, &open)
                .await
                .map_err(Violation::of)?
            {
                let status = build.status().map_err(Violation::of)?;
                left.push(format!("{name} {} {status}", build.pkgbase));
            }
        }
        for run in runs::open(&mut tx).await.map_err(Violation::of)? {
            left.push(format!("run {}", run.id().map_err(Violation::of)?));
        }
        Ok(left.join("\n"))
    }
}
