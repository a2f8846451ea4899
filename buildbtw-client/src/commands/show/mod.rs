//! `bbtw show`

mod build;

use std::io::{self, Write};

use buildbtw_api::builds::{Build, BuildQuery};
use buildbtw_api::namespaces::{Iteration, NamespaceDetails};
use buildbtw_api::{BuildStatus, NamespaceStatus};
use jiff::Timestamp;
use serde::Serialize;

use super::{mode, priority};
use crate::asking;
use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{ago, count, harmless, moment, outcome, some_of, wrap};

/// Up to that many builds are listed without being asked for.
const BUILDS: usize = 40;

/// Statuses whose builds are listed where there are too many builds to list all.
const NOTABLE: [BuildStatus; 5] = [
    BuildStatus::Building,
    BuildStatus::Scheduled,
    BuildStatus::Failed,
    BuildStatus::Unbuildable,
    BuildStatus::Waived,
];

/// What `bbtw show NAMESPACE --json` prints: the namespace as the server shows it, and builds.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    details: &'a NamespaceDetails,
    /// The iteration whose builds are listed.
    builds_of_iteration: Option<u32>,
    /// Its builds, by wave and name.
    builds: &'a [Build],
}

/// Shows a namespace, or one of its builds.
pub async fn run(session: &Session, arguments: &cli::Show) -> Outcome {
    let (name, number) = (&arguments.namespace, arguments.iteration);
    let details = session.client.namespace_with(name, number).await?;
    if let Some(pkgbase) = &arguments.pkgbase {
        let iteration = asking::iteration(&details, arguments.iteration)?;
        return build::run(session, &arguments.namespace, iteration, pkgbase).await;
    }
    let iteration = match arguments.iteration {
        Some(_) => Some(asking::iteration(&details, arguments.iteration)?),
        None => asking::iteration(&details, None).ok(),
    };
    let builds = match iteration {
        Some(iteration) => builds(session, arguments, iteration).await?,
        None => Vec::new(),
    };
    if session.json {
        return session.print_json(&Shown {
            details: &details,
            builds_of_iteration: iteration.map(|iteration| iteration.number),
            builds: &builds,
        });
    }
    let mode = mode::asked(session).await;
    let unmet = match iteration {
        Some(iteration) => asking::unmet(&session.client, &arguments.namespace, iteration).await?,
        None => Vec::new(),
    };
    session.print(|out| {
        head(out, &details, session.width)?;
        if let Some(mode) = &mode {
            mode::write(out, mode, session.width)?;
        }
        iterations(out, &details, session.width)?;
        match iteration {
            Some(iteration) => {
                sets(out, session, iteration, session.width)?;
                if let Some(text) = asking::unmet_in_words(&unmet) {
                    note(out, &text, session.width)?;
                }
                list(out, arguments, iteration, &builds, session.width)
            }
            None => Ok(()),
        }
    })
}

/// The builds that are to be listed.
async fn builds(
    session: &Session,
    arguments: &cli::Show,
    iteration: &Iteration,
) -> Result<Vec<Build>, Failure> {
    let ask = async |status| {
        let query = BuildQuery {
            status,
            ..BuildQuery::default()
        };
        asking::builds(
            &session.client,
            &arguments.namespace,
            iteration.number,
            query,
        )
        .await
    };
    if arguments.status.is_some() {
        return ask(arguments.status).await;
    }
    if session.json || arguments.all || total(iteration) <= BUILDS {
        return ask(None).await;
    }
    let mut notable = Vec::new();
    for status in NOTABLE {
        let there = iteration
            .build_sets
            .values()
            .any(|set| set.count(|one| one == status) > 0);
        if there && notable.len() < BUILDS {
            notable.extend(ask(Some(status)).await?);
        }
    }
    notable.truncate(BUILDS);
    Ok(notable)
}

fn total(iteration: &Iteration) -> usize {
    iteration
        .build_sets
        .values()
        .map(|set| set.total() as usize)
        .sum()
}

fn head(out: &mut dyn Write, details: &NamespaceDetails, width: usize) -> io::Result<()> {
    let namespace = &details.namespace;
    let (strong, colour) = (style::STRONG, style::namespace(namespace.status));
    writeln!(
        out,
        "Namespace {strong}{}{strong:#} is {colour}{}{colour:#}.",
        namespace.name, namespace.status
    )?;
    let changesets: Vec<String> = namespace
        .changesets
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut table = Table::bare().indented(2);
    let mut line =
        |name: &str, text: String| table.row([Cell::new(name, style::FAINT), text.into()]);
    line("changesets", some_of(&changesets, 20));
    let created = namespace.created_at;
    line(
        "created",
        format!("{} ({})", moment(created), ago(created, Timestamp::now())),
    );
    if let Some(owner) = &namespace.owner {
        line("owner", owner.clone());
    }
    if let Some(on) = namespace.options.on {
        line("built on", on.to_string());
    }
    if let Some(priority) = &namespace.priority {
        line("priority", priority::words(priority));
    }
    // The name may be another namespace's by now, the address of an iteration is this one's for ever.
    let page = match (namespace.status, details.iterations.first()) {
        (NamespaceStatus::Archived, Some(newest)) => {
            format!("{}/{}", namespace.page.trim_end_matches('/'), newest.number)
        }
        _ => namespace.page.clone(),
    };
    line("page", page);
    table.write(out, width)?;
    if let Some(problem) = &namespace.origins_problem {
        let problem = harmless(problem);
        let text = format!("the newest state of its changesets cannot be planned: {problem}");
        note(out, &text, width)?;
    }
    if !details.newer_commits.is_empty() {
        let newer = details.newer_commits.iter();
        let names: Vec<String> = newer.map(|one| one.pkgbase.to_string()).collect();
        let have = match names.len() {
            1 => "1 dependent has newer commits".to_owned(),
            many => format!("{many} dependents have newer commits"),
        };
        let (name, names) = (&namespace.name, some_of(&names, 8));
        let text = format!("{have} ({names}); `bbtw update {name}` takes them");
        note(out, &text, width)?;
    }
    Ok(())
}

fn note(out: &mut dyn Write, text: &str, width: usize) -> io::Result<()> {
    let odd = style::ODD;
    for (number, text) in wrap(text, width.saturating_sub(8)).iter().enumerate() {
        match number {
            0 => writeln!(out, "  {odd}note:{odd:#} {text}")?,
            _ => writeln!(out, "        {text}")?,
        }
    }
    Ok(())
}

fn iterations(out: &mut dyn Write, details: &NamespaceDetails, width: usize) -> io::Result<()> {
    writeln!(out)?;
    let mut table = Table::new(&["ITERATION", "STATUS", "DONE", "BECAUSE"]);
    for iteration in &details.iterations {
        let done: u32 = iteration
            .build_sets
            .values()
            .map(|set| set.count(BuildStatus::releases_dependents))
            .sum();
        let why = match &iteration.refusal {
            Some(refusal) => format!("{}; no plan could be made: {refusal}", iteration.why),
            None => iteration.why.clone(),
        };
        table.row([
            iteration.number.to_string().into(),
            Cell::new(
                iteration.status.as_str(),
                style::iteration(iteration.status),
            ),
            format!("{done}/{}", total(iteration)).into(),
            why.into(),
        ]);
    }
    table.write(out, width)
}

/// The build sets of an iteration in numbers.
fn sets(
    out: &mut dyn Write,
    session: &Session,
    iteration: &Iteration,
    width: usize,
) -> io::Result<()> {
    for (architecture, set) in &iteration.build_sets {
        let strong = style::STRONG;
        writeln!(
            out,
            "\n{strong}Iteration {}, {architecture}: {} in {}{strong:#}",
            iteration.number,
            count(set.total() as usize, "build"),
            count(set.waves as usize, "wave")
        )?;
        let counts: Vec<String> = set
            .counts
            .iter()
            .filter(|(_, count)| **count > 0)
            .map(|(status, count)| {
                let colour = style::build(*status);
                format!("{colour}{count} {status}{colour:#}")
            })
            .collect();
        writeln!(out, "  {}", counts.join(", "))?;
        let mut remarks = Vec::new();
        if set.broken > 0 {
            remarks.push(format!(
                "{} broken by the change",
                count(set.broken as usize, "need")
            ));
        }
        if set.unresolved > 0 {
            remarks.push(format!(
                "{} satisfied by nothing",
                count(set.unresolved as usize, "need")
            ));
        }
        if !remarks.is_empty() {
            let odd = style::ODD;
            writeln!(out, "  {odd}{}{odd:#}", remarks.join(", "))?;
        }
        for one in &set.broken_by_packages {
            let (bad, owner) = (style::BAD, one.pkgname.as_ref());
            let owner = owner.map_or(one.pkgbase.as_str(), |pkgname| pkgname.as_str());
            let text = format!("{owner} needs {}: {}", one.relation, one.reason);
            writeln!(out, "  {bad}broken:{bad:#} {}", harmless(&text))?;
        }
        let mut table = Table::bare().indented(2);
        table.row([
            "repository".into(),
            format!(
                "generation {} at {}",
                set.generation,
                session.address(&set.repository)
            )
            .into(),
        ]);
        for base in &set.base {
            let digest = base.digest.get(..8).unwrap_or(&base.digest);
            table.row(["base".into(), format!("{} as {digest}", base.origin).into()]);
        }
        table.write(out, width)?;
    }
    Ok(())
}

fn list(
    out: &mut dyn Write,
    arguments: &cli::Show,
    iteration: &Iteration,
    builds: &[Build],
    width: usize,
) -> io::Result<()> {
    writeln!(out)?;
    let several = iteration.build_sets.len() > 1;
    let mut table = Table::new(&["BUILD", "VERSION", "ARCH", "WAVE", "STATUS", "REMARKS"]);
    for build in builds {
        let name = match build.pass {
            1 => build.pkgbase.to_string(),
            pass => format!("{} (pass {pass})", build.pkgbase),
        };
        table.row([
            name.into(),
            build.version.to_string().into(),
            if several {
                build.architecture.as_str().into()
            } else {
                Cell::default()
            },
            build.wave.to_string().into(),
            Cell::new(build.status.as_str(), style::build(build.status)),
            remarks(build).into(),
        ]);
    }
    table.write(out, width)?;
    if builds.is_empty() && arguments.status.is_some() {
        writeln!(out, "No build is in that status.")?;
    }
    let rest = total(iteration).saturating_sub(builds.len());
    if rest > 0 && arguments.status.is_none() {
        let name = &arguments.namespace;
        writeln!(
            out,
            "{}; `bbtw show {name} --all` lists them.",
            count(rest, "more build")
        )?;
    }
    Ok(())
}

/// Why a build stands where it does, as far as that is known.
fn remarks(build: &Build) -> String {
    let mut remarks = Vec::new();
    if let Some(run) = &build.run {
        match (&run.outcome, &run.worker) {
            (Some(ended), _) if build.status.is_failure() => remarks.push(outcome(ended)),
            (None, Some(worker)) => remarks.push(format!("on {worker}")),
            _ => {}
        }
    }
    remarks.extend(build.reason.clone());
    if build.nocheck {
        remarks.push("without its check".to_owned());
    }
    harmless(&remarks.join("; "))
}
