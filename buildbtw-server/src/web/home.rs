//! The home page: what is being rebuilt, what waits and why, what failed, and how the server is.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use axum::extract::State;
use buildbtw_api::namespaces::Namespace;
use buildbtw_api::workers::Worker;
use buildbtw_api::{BuildStatus, WorkerMode};

use super::page::{
    Bar, Disk, PageResult, When, build_page, disk, duration_ms, length, log_page, render, words,
};
use super::sources::{GitLabView, gitlab};
use crate::Server;
use crate::api::namespace_as_shown;
use crate::clock;
use crate::db::overview::{self, FailureRow};
use crate::db::{build_list, events, iterations, modes, namespaces};
use crate::dispatch::facts::{Stands, facts, situation};
use crate::dispatch::outlook::Outlook;
use crate::dispatch::workers::shown as workers_shown;
use crate::scheduler::ToGo;
use crate::scheduler::explain::explain;

/// How many namespaces the page shows.
const NAMESPACES: u32 = 100;

/// How many runs, failures and waiting builds it shows.
const RUNNING: u32 = 200;
const FAILURES: u32 = 200;
const QUEUE: u32 = 5;

/// Of how many workers that get no runs it says why.
const ODD: usize = 3;

const DAY_MICROSECONDS: i64 = 24 * 3600 * 1_000_000;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    namespaces: Vec<Row>,
    /// The statuses that the bars show.
    legend: BTreeSet<BuildStatus>,
    running: Vec<Running>,
    queue: Vec<Queued>,
    queue_length: u32,
    archived: u32,
    causes: Vec<Cause>,
    failed_today: usize,
    workers_alive: usize,
    /// Why workers that are there get no runs, for the first of them.
    odd_workers: Vec<String>,
    more_odd: usize,
    slots: u32,
    slots_taken: usize,
    sources: usize,
    source_problems: usize,
    in_sync: bool,
    disk: Disk,
    /// Whether GitLab answers, where sources come from there.
    gitlab: Option<GitLabView>,
    /// What is said when the server hands out no runs.
    mode: Option<String>,
    last_event: i64,
}

struct Row {
    namespace: Namespace,
    bar: Bar,
    done: u32,
    failed: u32,
    /// They are known not to work.
    unbuildable: u32,
    /// They wait for something that failed.
    held: u32,
    total: u32,
    /// When it will be done, as far as that is known.
    ahead: String,
    created: When,
}

struct Running {
    page: String,
    pkgbase: String,
    namespace: String,
    worker: String,
    elapsed: String,
    usually: String,
    publishing: bool,
}

struct Queued {
    page: String,
    pkgbase: String,
    namespace: String,
    since: When,
    why: String,
}

/// Failures of one kind.
struct Cause {
    class: String,
    title: String,
    failures: Vec<Failure>,
}

struct Failure {
    page: String,
    log: String,
    pkgbase: String,
    namespace: String,
    ended: When,
    unlocks: u32,
    message: String,
    /// The build succeeded later.
    mended: bool,
}

/// The home page.
pub async fn show(State(server): State<Server>) -> PageResult {
    let mut tx = server.db.read().await?;
    let workers = workers_shown(&server, &mut tx).await?;
    let alive = workers.iter().filter(|worker| {
        let leases = &server.dispatch.leases;
        leases.is_alive(worker.id, clock::instant())
    });
    let alive: Vec<_> = alive.collect();
    let slots: u32 = alive.iter().map(|worker| worker.offer.slots).sum();
    let outlook = Outlook::gather(&server, &mut tx).await?;
    let (mut rows, mut legend) = (Vec::new(), BTreeSet::new());
    for stored in namespaces::page(&mut tx, false, None, NAMESPACES).await? {
        let namespace = namespace_as_shown(&server, &mut tx, &stored).await?;
        let mut counts: BTreeMap<BuildStatus, u32> = BTreeMap::new();
        let sets = namespace.iteration.iter();
        for set in sets.flat_map(|iteration| iteration.build_sets.values()) {
            for (status, count) in &set.counts {
                *counts.entry(*status).or_default() += count;
            }
        }
        legend.extend(counts.keys().copied());
        let count = |pick: fn(BuildStatus) -> bool| {
            let picked = counts.iter().filter(|(status, _)| pick(**status));
            picked.map(|(_, count)| count).sum()
        };
        let to_go = outlook.to_go(&mut tx, stored.key, stored.status).await?;
        rows.push(Row {
            bar: Bar::new(&counts),
            done: count(BuildStatus::releases_dependents),
            failed: count(|status| status == BuildStatus::Failed),
            unbuildable: count(|status| status == BuildStatus::Unbuildable),
            held: count(|status| status == BuildStatus::DependencyFailed),
            total: count(|_| true),
            ahead: told(to_go, ""),
            created: When::new(&namespace.created_at),
            namespace,
        });
    }
    let now = clock::now();
    let running = overview::running(&mut tx, RUNNING).await?.into_iter();
    let running: Vec<Running> = running
        .map(|row| Running {
            page: build_page(
                &row.namespace,
                row.iteration,
                &row.architecture,
                &row.pkgbase,
                row.pass,
            ),
            elapsed: duration_ms(
                (now.as_microsecond() - row.started_at.unwrap_or(row.claimed_at)) / 1000,
            ),
            usually: match row.expected_ms {
                0 => "unknown".to_owned(),
                expected => duration_ms(expected),
            },
            publishing: row.status == "publishing",
            pkgbase: row.pkgbase,
            namespace: row.namespace,
            worker: row.worker.unwrap_or_default(),
        })
        .collect();
    let situation = situation(&server, &mut tx).await?;
    let mut next = situation.line(None);
    next.truncate(QUEUE as usize);
    let (waiting, queue_length) = overview::queued(&mut tx, &next, QUEUE).await?;
    let mut queue = Vec::with_capacity(waiting.len());
    for row in waiting {
        let Ok(name) = row.namespace.parse() else {
            continue;
        };
        let Some(namespace) = namespaces::by_name(&mut tx, &name).await? else {
            continue;
        };
        let Some(iteration) = iterations::by_number(&mut tx, namespace.key, row.iteration).await?
        else {
            continue;
        };
        let found = build_list::find(
            &mut tx,
            iteration.key,
            &row.architecture,
            &row.pkgbase,
            row.pass,
        )
        .await?;
        let Some((key, build)) = found else { continue };
        let stands = Stands {
            namespace: namespace.status,
            iteration: iteration.status()?,
        };
        let facts = facts(&server, &mut tx, &situation, key, &build, stands).await?;
        queue.push(Queued {
            page: build_page(
                &row.namespace,
                row.iteration,
                &row.architecture,
                &row.pkgbase,
                row.pass,
            ),
            since: When::at_microsecond(row.changed_at),
            why: explain(facts, now).to_string(),
            pkgbase: row.pkgbase,
            namespace: row.namespace,
        });
    }
    let since = now.as_microsecond() - DAY_MICROSECONDS;
    let failures = overview::failures(&mut tx, since, FAILURES).await?;
    let failed_today = failures.len();
    let mode = modes::server(&mut tx).await?;
    let archived = namespaces::count_archived(&mut tx).await?;
    let last_event = events::last(&mut tx).await?;
    drop(tx);
    let (sources, source_problems) = server.sources.counts();
    let odd = || {
        let alive = alive.iter();
        alive.filter(|worker| worker.mode.mode != WorkerMode::Active)
    };
    render(&Home {
        namespaces: rows,
        legend,
        running,
        queue,
        queue_length,
        archived,
        causes: causes(failures),
        failed_today,
        workers_alive: alive.len(),
        odd_workers: odd().take(ODD).map(|worker| no_runs(worker)).collect(),
        more_odd: odd().count().saturating_sub(ODD),
        slots,
        slots_taken: alive.iter().map(|worker| worker.runs.len()).sum(),
        sources,
        source_problems,
        in_sync: *server.sources.in_sync().borrow(),
        disk: disk(&server),
        gitlab: gitlab(&server),
        mode: mode.remark(),
        last_event,
    })
}

/// That a worker gets no runs, and why.
fn no_runs(worker: &Worker) -> String {
    let mode = words(worker.mode.mode);
    match &worker.mode.note.reason {
        Some(reason) => format!("{} gets no runs, it is {mode}: {reason}", worker.name),
        None => format!("{} gets no runs, it is {mode}", worker.name),
    }
}

/// When what is left will be done, with some words behind a time.
pub(super) fn told(to_go: ToGo, behind: &str) -> String {
    match to_go {
        ToGo::Untold => String::new(),
        ToGo::NoWorker => "no worker is there".to_owned(),
        ToGo::NoneActive => "no worker gets builds".to_owned(),
        ToGo::About(ms) => format!("about {}{behind}", length(ms)),
    }
}

/// Failures grouped by whose business they are and where they happened, the largest group first.
fn causes(failures: Vec<FailureRow>) -> Vec<Cause> {
    let mut groups: BTreeMap<(String, Option<String>), Vec<FailureRow>> = BTreeMap::new();
    for row in failures {
        let cause = (row.class.clone(), row.failed_step.clone());
        groups.entry(cause).or_default().push(row);
    }
    let mut causes: Vec<Cause> = groups
        .into_iter()
        .map(|((class, step), rows)| Cause {
            title: match step {
                // `sources` is a class and a step.
                Some(step) if step != class => format!("in {step}"),
                _ => String::new(),
            },
            class,
            failures: rows.into_iter().map(failure).collect(),
        })
        .collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.failures.len()));
    causes
}

fn failure(row: FailureRow) -> Failure {
    Failure {
        page: build_page(
            &row.namespace,
            row.iteration,
            &row.architecture,
            &row.pkgbase,
            row.pass,
        ),
        log: log_page(&row.run),
        ended: When::at_microsecond(row.ended_at),
        unlocks: row.unlocks,
        message: row.message.unwrap_or_default(),
        mended: matches!(row.status.as_str(), "built" | "reused"),
        pkgbase: row.pkgbase,
        namespace: row.namespace,
    }
}
