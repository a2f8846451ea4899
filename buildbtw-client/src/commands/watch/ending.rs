//! The end of watching: what came of it, and what to do next.

use std::collections::BTreeMap;

use buildbtw_api::builds::BuildQuery;
use buildbtw_api::{BuildStatus, NamespaceName, OutcomeClass};
use buildbtw_graph::{Architecture, PkgBase};
use serde::Serialize;

use super::Watch;
use super::state::{Key, Verdict, followed};
use crate::asking::{self, Unmet};
use crate::failure::{CALLED_OFF, FAILED, Failure, Outcome};
use crate::style;
use crate::words::harmless;

/// How many failures are told in full.
const TOLD: usize = 20;

impl Watch<'_> {
    /// Tells how it ended.
    pub(super) async fn close(mut self, verdict: Verdict) -> Outcome {
        self.display.finish();
        let (name, number) = (self.name, self.builds.iteration);
        let counts: Vec<String> = self
            .builds
            .counts()
            .iter()
            .map(|(status, count)| {
                let colour = style::build(*status);
                format!("{colour}{count} {status}{colour:#}")
            })
            .collect();
        let counts = counts.join(", ");
        // What is built is not what was pushed last.
        let unplanned = self
            .details
            .as_ref()
            .and_then(|details| details.namespace.origins_problem.clone());
        let code = match verdict {
            Verdict::Built if unplanned.is_some() => FAILED,
            Verdict::Built => 0,
            Verdict::Failed | Verdict::Refused => FAILED,
            Verdict::Cancelled | Verdict::Archived => CALLED_OFF,
        };
        if matches!(verdict, Verdict::Failed | Verdict::Refused) {
            self.tell_failures().await?;
        }
        let unmet = self.unmet(verdict).await?;
        let (good, bad, odd) = (style::GOOD, style::BAD, style::ODD);
        if let Some(text) = asking::unmet_in_words(&unmet) {
            self.display.say(&format!("{odd}note:{odd:#} {text}"))?;
        }
        if let Some(problem) = &unplanned {
            let problem = harmless(problem);
            self.display.say(&format!(
                "{odd}note:{odd:#} the newest state of its changesets cannot be planned: {problem}"
            ))?;
        }
        match verdict {
            Verdict::Built => {
                self.display.say(&format!(
                    "{good}Iteration {number} of {name} is done:{good:#} {counts}."
                ))?;
                self.display
                    .say(&format!("  packages  bbtw download {name}"))?;
            }
            Verdict::Failed => {
                self.display.say(&format!(
                    "{bad}Iteration {number} of {name} failed:{bad:#} {counts}."
                ))?;
                self.display
                    .say(&format!("  again     bbtw retry {name}"))?;
            }
            Verdict::Refused => {
                let refused = self
                    .details
                    .as_ref()
                    .and_then(|details| details.iterations.first());
                let newest = refused.map_or(number, |refused| refused.number);
                self.display.say(&format!(
                    "{bad}Iteration {newest} of {name} could not be planned.{bad:#}"
                ))?;
                if !self.builds.is_empty() {
                    self.display
                        .say(&format!("Iteration {number}: {counts}."))?;
                }
            }
            Verdict::Cancelled => {
                self.display
                    .say(&format!("{odd}{name} was cancelled:{odd:#} {counts}."))?;
                self.display
                    .say(&format!("  go on     bbtw resume {name}"))?;
            }
            Verdict::Archived => self
                .display
                .say(&format!("{odd}{name} was archived:{odd:#} {counts}."))?,
        }
        if self.display.is_json() {
            self.display
                .json(&self.ended(verdict, code, unmet).await?)?;
        }
        match code {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        }
    }

    /// Failures that have not been told yet, such as those from before the watching.
    async fn tell_failures(&mut self) -> Outcome {
        let failed = |status| matches!(status, BuildStatus::Failed | BuildStatus::Unbuildable);
        let untold: Vec<Key> = self
            .builds
            .keys(failed)
            .filter(|key| !self.builds.told.contains(key))
            .cloned()
            .collect();
        for key in untold.iter().take(TOLD) {
            if let Some(status) = self.builds.status(key) {
                let (bad, name) = (style::BAD, self.builds.name(key));
                self.display.say(&format!("{name}: {bad}{status}{bad:#}"))?;
            }
            self.tell_failure(key).await?;
        }
        match untold.len().saturating_sub(TOLD) {
            0 => Ok(()),
            more => self.display.say(&format!(
                "and {more} more; `bbtw show {}` lists them",
                self.name
            )),
        }
    }

    /// What keeps pacman from installing packages that were built.
    async fn unmet(&self, verdict: Verdict) -> Result<Vec<Unmet>, Failure> {
        let built = matches!(verdict, Verdict::Built | Verdict::Failed);
        match self.details.as_ref().and_then(followed) {
            Some(iteration) if built => {
                asking::unmet(&self.session.client, self.name, iteration).await
            }
            _ => Ok(Vec::new()),
        }
    }

    async fn ended(
        &self,
        verdict: Verdict,
        exit_code: u8,
        unmet: Vec<Unmet>,
    ) -> Result<Ended<'_>, Failure> {
        let mut failures = Vec::new();
        for status in [
            BuildStatus::Failed,
            BuildStatus::Unbuildable,
            BuildStatus::DependencyFailed,
        ] {
            if self.builds.count(|one| one == status) == 0 {
                continue;
            }
            let query = BuildQuery {
                status: Some(status),
                ..BuildQuery::default()
            };
            let builds = asking::builds(
                &self.session.client,
                self.name,
                self.builds.iteration,
                query,
            )
            .await?;
            failures.extend(builds.into_iter().map(|build| {
                let (worker, ended) = build
                    .run
                    .map_or((None, None), |run| (run.worker, run.outcome));
                FailedBuild {
                    architecture: build.architecture,
                    pkgbase: build.pkgbase,
                    pass: build.pass,
                    status: build.status,
                    class: ended.as_ref().map(|ended| ended.class),
                    failed_step: ended.and_then(|ended| ended.failed_step),
                    worker,
                    reason: build.reason,
                }
            }));
        }
        Ok(Ended {
            kind: "watch_ended",
            namespace: self.name,
            iteration: self.builds.iteration,
            result: verdict,
            exit_code,
            counts: self.builds.counts(),
            failures,
            unmet,
        })
    }
}

/// The last line of `--json`.
#[derive(Serialize)]
struct Ended<'a> {
    kind: &'static str,
    namespace: &'a NamespaceName,
    iteration: u32,
    result: Verdict,
    exit_code: u8,
    counts: BTreeMap<BuildStatus, usize>,
    failures: Vec<FailedBuild>,
    /// What its packages need at run time and no repository has.
    unmet: Vec<Unmet>,
}

/// A build without packages, in the last line of `--json`.
#[derive(Serialize)]
struct FailedBuild {
    architecture: Architecture,
    pkgbase: PkgBase,
    pass: u8,
    status: BuildStatus,
    class: Option<OutcomeClass>,
    failed_step: Option<String>,
    worker: Option<String>,
    reason: Option<String>,
}
