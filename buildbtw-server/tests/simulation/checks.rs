//! What must hold after every step, and at the end.

use buildbtw_api::{BuildStatus, NamespaceStatus, RunId, RunStatus};
use buildbtw_server::clock;
use buildbtw_server::db::{audit, builds, events, iterations, namespaces, ready, runs};
use std::time::Duration;

use super::world::{Event, Violation, World};

impl World {
    /// The database contradicts itself nowhere, and every lease that is out can end.
    pub async fn check(&mut self) -> Result<(), Violation> {
        let Some(server) = self.server.clone() else {
            return Ok(());
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        let found = audit::contradictions(&mut tx)
            .await
            .map_err(Violation::of)?;
        if !found.is_empty() {
            return Err(Violation(found.join("\n")));
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
        if let Some(at) = ready::next_delay(&mut tx).await.map_err(Violation::of)? {
            let micros = at - clock::now().as_microsecond();
            if micros > 0 {
                let wait = Duration::from_micros(micros.unsigned_abs());
                self.after(wait, Event::Nudge);
            }
        }
        Ok(())
    }

    /// The number of the newest event.
    pub async fn newest_event(&self) -> Result<Option<i64>, Violation> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        let mut tx = server.db.read().await.map_err(Violation::of)?;
        let newest = events::last(&mut tx).await.map_err(Violation::of)?;
        Ok(Some(newest))
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
