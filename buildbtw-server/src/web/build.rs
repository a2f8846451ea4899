//! A build: why it stands where it stands, what is around it, its runs, steps, packages and log.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use buildbtw_api::builds::{Build, MadeBy};
use buildbtw_api::explanations::Explanation;
use buildbtw_api::ingredients::{ChangedIngredient, Flaky, Rebuilt};
use buildbtw_api::runs::{RunDetails, RunSummary};
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceName, NamespaceStatus, ProblemType};
use buildbtw_graph::{Architecture, PkgBase};

use super::actions::{Action, of_build, retry_cause};
use super::ansi::Painter;
use super::excerpt::{Excerpt, Quoted, excerpt};
use super::extract::Path;
use super::graph::{Graph, graph};
use super::made::{self, PackageRow};
use super::page::{
    PageResult, Piece, When, build_page, duration, duration_ms, iteration_number, log_page, name,
    pieces, render, sentence,
};
use crate::api::extract;
use crate::db::chains::{self, Link};
use crate::db::waivers::{self, Waiver};
use crate::db::{build_list, events, flaky, runs};
use crate::dispatch::facts::{Stands, facts, situation};
use crate::dispatch::rebuilt::rebuilt;
use crate::problems::HttpProblem;
use crate::scheduler::explain::explain;
use crate::{Server, clock, db};

/// How much of the end of a log that grows the page shows, in bytes. The whole is one click away.
const LOG_TAIL: u64 = 24 << 10;

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    namespace: NamespaceName,
    iteration: u32,
    page: String,
    build: Build,
    explanation: String,
    remedy: Option<Vec<Piece>>,
    causes: Vec<Cause>,
    rebuilt: Vec<String>,
    flaky: Vec<String>,
    graph: Option<Graph>,
    runs: Vec<RunRow>,
    steps: Vec<StepRow>,
    packages: Vec<PackageRow>,
    /// Whose run made them, where it was none of its own.
    made_by: Option<MadeBy>,
    /// The way from a change to it, itself last; empty where it is changed itself.
    chain: Vec<ChainRow>,
    /// What a person said about leaving it out.
    waiver: Option<String>,
    newest: Option<RunDetails>,
    /// The end of the log of a run that goes on.
    log: String,
    log_from: u64,
    /// What matters of the log of one that is over.
    excerpt: Option<Excerpt>,
    forms: Vec<BuildForm>,
    /// The iteration is no longer worked on, as another one took its place.
    superseded: bool,
    last_event: i64,
}

impl BuildPage {
    /// The first error of a build that failed.
    fn quoted(&self) -> Option<&Quoted> {
        self.excerpt.as_ref()?.error.as_ref()
    }
}

/// A build that keeps this one from being built.
struct Cause {
    page: String,
    pkgbase: String,
    status: BuildStatus,
    log: Option<String>,
}

/// What can be done about a package base.
struct BuildForm {
    pkgbase: String,
    action: Action,
}

/// A build on the way from a change to this one.
struct ChainRow {
    page: String,
    link: Link,
}

struct RunRow {
    run: RunSummary,
    /// Where its pipeline is, and the job that carries it out.
    pipeline_url: Option<String>,
    job_url: Option<String>,
    /// The commit of the pipeline, where it is not the one that is built.
    other_commit: Option<String>,
    claimed: When,
    took: String,
}

struct StepRow {
    name: String,
    took: String,
    /// Where its bar begins and how long it is, in thousandths of the run.
    from: u64,
    width: u64,
    colour: &'static str,
    says: &'static str,
}

/// Goes to the first build of a package base, which most have no other one than.
pub async fn first_pass(
    Path((namespace, number, architecture, pkgbase)): Path<(String, String, String, String)>,
) -> PageResult {
    let (namespace, number): (NamespaceName, u32) = (name(&namespace)?, iteration_number(&number)?);
    let (architecture, pkgbase): (Architecture, PkgBase) = (name(&architecture)?, name(&pkgbase)?);
    let page = build_page(namespace, number, architecture, pkgbase.as_str(), 1);
    Ok(Redirect::to(&page).into_response())
}

/// One build.
pub async fn show(
    State(server): State<Server>,
    Path((namespace, number, architecture, pkgbase, pass)): Path<(
        String,
        String,
        String,
        String,
        String,
    )>,
) -> PageResult {
    let (namespace, number, pass): (NamespaceName, u32, u8) = (
        name(&namespace)?,
        iteration_number(&number)?,
        super::page::number(&pass, "pass")?,
    );
    let (stored, iteration) = extract::iteration(&server, &namespace, number).await?;
    let mut tx = server.db.read().await?;
    let found = build_list::find(&mut tx, iteration.key, &architecture, &pkgbase, pass).await?;
    let (key, build) = found.ok_or_else(|| {
        let detail = format!(
            "iteration {number} of {namespace} does not build {pkgbase} for {architecture}"
        );
        HttpProblem::new(ProblemType::NotFound, detail)
    })?;
    let mut newest = match &build.run {
        Some(run) => runs::details(&mut tx, run.id).await?,
        None => None,
    };
    let (mut log, mut log_from, mut shown) = (String::new(), 0, None);
    if let Some(run) = &mut newest {
        run.log_length = server.logs.length(run.run.id).await;
        if run.run.outcome.is_some() {
            shown = Some(excerpt(&server, run).await?);
        } else {
            log_from = run.log_length.saturating_sub(LOG_TAIL);
            let bytes = server.logs.read(run.run.id, log_from, LOG_TAIL).await?;
            log = painted(&bytes);
        }
    }
    let stands = Stands {
        namespace: stored.status,
        iteration: iteration.status()?,
    };
    let situation = situation(&server, &mut tx).await?;
    let facts = facts(&server, &mut tx, &situation, key, &build, stands).await?;
    let explanation = explain(facts, clock::now());
    let page =
        |pkgbase: &str, pass: u8| build_page(&namespace, number, &architecture, pkgbase, pass);
    let mut causes = Vec::new();
    if let Explanation::DependencyFailed { causes: failed } = &explanation {
        for cause in failed {
            let pkgbase = cause.pkgbase.as_str();
            let found =
                build_list::find(&mut tx, iteration.key, &architecture, pkgbase, cause.pass)
                    .await?;
            let run = found.and_then(|(_, build)| build.run);
            causes.push(Cause {
                page: page(pkgbase, cause.pass),
                pkgbase: pkgbase.to_owned(),
                status: cause.status,
                log: run.map(|run| log_page(run.id)),
            });
        }
    }
    let worked_on = stored.status != NamespaceStatus::Archived
        && iteration.status()? == IterationStatus::Current;
    let rows = runs::of_build(&mut tx, key).await?;
    let packages = made::gather(&mut tx, key).await?;
    let made_by = db::made::made_by(&mut tx, key).await?;
    let chain = chains::to_build(&mut tx, key).await?;
    let waiver = waivers::about(&mut tx, stored.key, &pkgbase).await?;
    let graph = graph(&mut tx, key, page).await?;
    let rebuilt = rebuilt(&mut tx, key).await?;
    let flaky = flaky::of_build(&mut tx, key).await?;
    let last_event = events::last(&mut tx).await?;
    drop(tx);
    let packages = made::rows(packages).await?;
    let chain = match chain.len() {
        0 | 1 => Vec::new(),
        _ => chain,
    };
    let chain = chain.into_iter().map(|link| ChainRow {
        page: page(&link.pkgbase, 1),
        link,
    });
    let chain = chain.collect();
    let waiver = waiver.map(|waiver| waived(&waiver, &build));
    let remedy = explanation.remedy(namespace.as_str(), &pkgbase);
    let forms = match worked_on {
        true => forms(&build, &causes),
        false => Vec::new(),
    };
    let rendered = BuildPage {
        superseded: iteration.status()? == IterationStatus::Superseded,
        excerpt: shown,
        page: page(&pkgbase, pass),
        remedy: remedy.map(|remedy| pieces(&sentence(&remedy))),
        explanation: sentence(&explanation.to_string()),
        causes,
        rebuilt: rebuilt_lines(rebuilt),
        flaky: flaky_lines(&flaky),
        graph,
        runs: rows
            .into_iter()
            .map(|run| run_row(run, &build.commit))
            .collect(),
        steps: newest.as_ref().map(steps).unwrap_or_default(),
        packages,
        made_by,
        chain,
        waiver,
        forms,
        last_event,
        namespace: namespace.clone(),
        iteration: number,
        build,
        newest,
        log,
        log_from,
    };
    render(&rendered)
}

/// What can be done about a build. What waits for a failure is not tried again itself: that failure is.
fn forms(build: &Build, causes: &[Cause]) -> Vec<BuildForm> {
    let form = |pkgbase: &str, action| BuildForm {
        pkgbase: pkgbase.to_owned(),
        action,
    };
    let failed = causes
        .iter()
        .filter(|cause| cause.status == BuildStatus::Failed);
    let retries = failed.map(|cause| form(&cause.pkgbase, retry_cause(&cause.pkgbase)));
    let own = of_build(build.status).into_iter();
    retries
        .chain(own.map(|action| form(build.pkgbase.as_str(), action)))
        .collect()
}

/// What a person's word about leaving a build out means here.
fn waived(waiver: &Waiver, build: &Build) -> String {
    let given = When::at_microsecond(waiver.given_at);
    let short = |commit: &str| commit.chars().take(12).collect::<String>();
    let said = format!(
        "In iteration {} somebody said to leave it out ({}): {}.",
        waiver.iteration, given.ago, waiver.reason
    );
    match (waiver.commit == build.commit, build.status) {
        (true, BuildStatus::Waived) => format!(
            "{said} That holds for further iterations too, as long as its source stays at commit {}.",
            short(&waiver.commit)
        ),
        (true, _) => format!("{said} It went on here before that."),
        (false, _) => format!(
            "{said} That was for commit {}; its source has changed since, so it is built.",
            short(&waiver.commit)
        ),
    }
}

/// The end of a log as HTML.
fn painted(bytes: &[u8]) -> String {
    let mut painter = Painter::default();
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<String> = text
        .split('\n')
        .map(|line| painter.line(line).html)
        .collect();
    lines.join("\n")
}

/// An address that may stand in a link: GitLab's word is not taken for more.
fn link(address: Option<&String>) -> Option<String> {
    let web = |address: &&String| address.starts_with("https://") || address.starts_with("http://");
    address.filter(web).cloned()
}

fn run_row(run: RunSummary, built: &str) -> RunRow {
    let now = clock::now();
    let pipeline = run.pipeline.as_ref();
    RunRow {
        pipeline_url: link(pipeline.and_then(|pipeline| pipeline.url.as_ref())),
        job_url: link(pipeline.and_then(|pipeline| pipeline.job_url.as_ref())),
        other_commit: pipeline
            .and_then(|pipeline| pipeline.commit.clone())
            .filter(|commit| commit != built),
        claimed: When::new(&run.claimed_at),
        took: duration(
            run.started_at.as_ref().unwrap_or(&run.claimed_at),
            run.ended_at.as_ref().unwrap_or(&now),
        ),
        run,
    }
}

fn rebuilt_lines(rebuilt: Option<Rebuilt>) -> Vec<String> {
    let Some(rebuilt) = rebuilt else {
        return Vec::new();
    };
    let before = format!(
        "It was built before, in iteration {} of {}",
        rebuilt.iteration, rebuilt.namespace
    );
    let because: Vec<String> = rebuilt.because.iter().map(ToString::to_string).collect();
    vec![match rebuilt.because.as_slice() {
        // That nothing changed is no reason.
        [ChangedIngredient::ReuseOff] => format!(
            "{before}, from the same input; it was built once more because this namespace takes nothing over."
        ),
        [ChangedIngredient::NotServing] => format!(
            "{before}, from the same input; it was built once more because the packages of that run serve nobody: \
             something else was installed than was expected, or it was to be so."
        ),
        _ => format!("{before}, and once more because {}.", because.join("; ")),
    }]
}

fn flaky_lines(flaky: &[Flaky]) -> Vec<String> {
    let lines = flaky.iter().take(3);
    lines
        .map(|one| {
            let at = When::new(&one.noticed_at);
            format!(
                "Flaky: it failed and then succeeded with the same input, {} ({}).",
                at.ago, at.shown
            )
        })
        .collect()
}

/// The steps of a run as bars on one line of time.
fn steps(run: &RunDetails) -> Vec<StepRow> {
    let ends = run
        .steps
        .iter()
        .map(|step| step.ended_ms.unwrap_or(step.started_ms));
    let so_far = run.run.started_at.as_ref().map_or(0, |started| {
        let until = run.run.ended_at.unwrap_or_else(clock::now);
        u64::try_from(until.duration_since(*started).as_millis()).unwrap_or(0)
    });
    let total = ends.max().unwrap_or(0).max(so_far).max(1);
    let part = |at: u64| at.min(total) * 1000 / total;
    let rows = run.steps.iter().map(|step| {
        let end = step.ended_ms.unwrap_or(total);
        let (colour, says) = match step.succeeded {
            Some(true) => ("built", ""),
            Some(false) => ("failed", "failed"),
            None if run.run.outcome.is_some() => ("cancelled", "did not end"),
            None => ("building", "goes on"),
        };
        StepRow {
            name: step.name.clone(),
            took: duration_ms(
                i64::try_from(end.saturating_sub(step.started_ms)).unwrap_or(i64::MAX),
            ),
            from: part(step.started_ms),
            width: (part(end) - part(step.started_ms).min(part(end))).max(3),
            colour,
            says,
        }
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn that_nothing_changed_is_no_reason() {
        let lines = |because| {
            rebuilt_lines(Some(Rebuilt {
                run: "01900000-0000-7000-8000-000000000000".parse().unwrap(),
                namespace: "n".parse().unwrap(),
                iteration: 1,
                ended_at: jiff::Timestamp::UNIX_EPOCH,
                because,
            }))
            .concat()
        };
        let same = lines(vec![ChangedIngredient::ReuseOff]);
        assert!(same.contains("this namespace takes nothing over"), "{same}");
        assert!(!same.contains("because nothing"), "{same}");
        let check = lines(vec![ChangedIngredient::Check { run: false }]);
        assert!(
            check.contains("because its check is skipped now."),
            "{check}"
        );
    }
}
