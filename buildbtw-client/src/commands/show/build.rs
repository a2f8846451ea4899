//! `bbtw show NAMESPACE PKGBASE`: one build with its neighbours, runs and steps.

use std::io::{self, Write};

use buildbtw_api::NamespaceName;
use buildbtw_api::builds::{BuildDetails, Neighbour};
use buildbtw_api::namespaces::Iteration;
use buildbtw_api::runs::{RunDetails, RunPackage, RunSummary};
use buildbtw_graph::PkgBase;
use jiff::Timestamp;
use serde::Serialize;

use crate::asking;
use crate::commands::explain::flaky;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::table::{Cell, Table};
use crate::words::{between, commit, duration, harmless, moment, outcome, size};

/// A build as `--json` prints it.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    build: BuildDetails,
    /// Its newest run, with steps, installed and made packages.
    newest_run: Option<RunDetails>,
}

/// Shows the builds of a package base, one an architecture and pass.
pub async fn run(
    session: &Session,
    name: &NamespaceName,
    iteration: &Iteration,
    pkgbase: &PkgBase,
) -> Outcome {
    let mut shown = Vec::new();
    for build in asking::builds_of(&session.client, name, iteration, pkgbase).await? {
        let newest_run = match build.runs.first() {
            Some(run) => Some(session.client.run(run.id).await?),
            None => None,
        };
        shown.push(Shown { build, newest_run });
    }
    if session.json {
        return session.print_json(&shown);
    }
    session.print(|out| {
        for (position, one) in shown.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            write(out, one, session.width)?;
        }
        Ok(())
    })
}

fn write(out: &mut dyn Write, shown: &Shown, width: usize) -> io::Result<()> {
    let details = &shown.build;
    let build = &details.build;
    let strong = style::STRONG;
    let pass = match build.pass {
        1 => String::new(),
        pass => format!(", pass {pass}"),
    };
    writeln!(
        out,
        "{strong}{} {}{strong:#} for {}{pass}, in iteration {} of {}",
        build.pkgbase, build.version, build.architecture, details.iteration, details.namespace
    )?;
    let mut table = Table::bare().indented(2);
    let mut line = |name: &str, cell: Cell| table.row([Cell::new(name, style::FAINT), cell]);
    let status = match &build.reason {
        Some(reason) => format!("{}: {reason}", build.status),
        None => build.status.to_string(),
    };
    line("status", Cell::new(status, style::build(build.status)));
    line("since", moment(build.changed_at).into());
    line("because", build.because.as_str().into());
    line("commit", commit(&build.commit).into());
    let makes: Vec<&str> = build.pkgnames.iter().map(|name| name.as_str()).collect();
    line("makes", makes.join(", ").into());
    line("wave", build.wave.to_string().into());
    if build.nocheck {
        line("check", "skipped, to break a cycle".into());
    }
    table.write(out, width)?;
    neighbours(out, "Needs", &details.needs, width)?;
    neighbours(out, "Needed by", &details.needed_by, width)?;
    runs(out, &details.runs, width)?;
    if !details.flaky.is_empty() {
        writeln!(out)?;
        flaky(out, details, width)?;
    }
    if let Some(run) = &shown.newest_run {
        steps(out, run, width)?;
    }
    // A run's packages also have those for debugging; what is reused has no run.
    match &shown.newest_run {
        Some(run) if !run.packages.is_empty() => packages(out, &run.packages, width)?,
        _ => packages(out, &details.packages, width)?,
    }
    if let Some(run) = &shown.newest_run {
        writeln!(
            out,
            "\n{} of log: bbtw logs {} {} --iteration {}",
            size(run.log_length),
            details.namespace,
            build.pkgbase,
            details.iteration
        )?;
    } else if let Some(by) = &details.made_by {
        writeln!(
            out,
            "\nThe log of the run that made its packages, in iteration {} of {}: bbtw logs {} {} --iteration {}",
            by.iteration, by.namespace, details.namespace, build.pkgbase, details.iteration
        )?;
    }
    Ok(())
}

fn neighbours(
    out: &mut dyn Write,
    title: &str,
    neighbours: &[Neighbour],
    width: usize,
) -> io::Result<()> {
    if neighbours.is_empty() {
        return Ok(());
    }
    let strong = style::STRONG;
    writeln!(out, "\n{strong}{title}{strong:#}")?;
    let mut table = Table::bare().indented(2);
    for neighbour in neighbours {
        let name = match neighbour.pass {
            1 => neighbour.pkgbase.to_string(),
            pass => format!("{} (pass {pass})", neighbour.pkgbase),
        };
        let relation = if neighbour.dropped {
            format!("{} (given up to break a cycle)", neighbour.relation)
        } else {
            neighbour.relation.clone()
        };
        table.row([
            name.into(),
            Cell::new(neighbour.status.as_str(), style::build(neighbour.status)),
            relation.into(),
        ]);
    }
    table.write(out, width)
}

fn runs(out: &mut dyn Write, runs: &[RunSummary], width: usize) -> io::Result<()> {
    if runs.is_empty() {
        return Ok(());
    }
    let strong = style::STRONG;
    writeln!(out, "\n{strong}Runs{strong:#}")?;
    for run in runs {
        let ended = match &run.outcome {
            Some(ended) => outcome(ended),
            None => run.status.to_string(),
        };
        let canary = match run.canary {
            true => ", only to try the worker out",
            false => "",
        };
        writeln!(out, "  {}. {ended}{canary}", run.attempt)?;
        let mut table = Table::bare().indented(5);
        let mut line =
            |name: &str, text: String| table.row([Cell::new(name, style::FAINT), text.into()]);
        if let Some(ended) = &run.outcome {
            let code = ended.exit_code.map(|code| format!(" (exit code {code})"));
            line(
                "outcome",
                format!("{}{}", ended.message, code.unwrap_or_default()),
            );
        }
        if let Some(worker) = &run.worker {
            line("worker", worker.clone());
        }
        if let Some(pipeline) = &run.pipeline {
            let status = pipeline.status.as_deref().unwrap_or("not made yet");
            let url = pipeline.url.as_deref().map(|url| format!(", {url}"));
            line(
                "pipeline",
                harmless(&format!("{status}{}", url.unwrap_or_default())),
            );
            if let Some(problem) = &pipeline.problem {
                line("GitLab", harmless(problem));
            }
        }
        let started = run.started_at.unwrap_or(run.claimed_at);
        let took = between(started, run.ended_at.unwrap_or_else(Timestamp::now));
        line("started", format!("{}, {took}", moment(started)));
        line("id", run.id.to_string());
        table.write(out, width)?;
    }
    Ok(())
}

fn steps(out: &mut dyn Write, run: &RunDetails, width: usize) -> io::Result<()> {
    if run.steps.is_empty() {
        return Ok(());
    }
    let strong = style::STRONG;
    writeln!(out, "\n{strong}Steps of run {}{strong:#}", run.run.attempt)?;
    let mut table = Table::bare().indented(2);
    for step in &run.steps {
        let took = step
            .ended_ms
            .map(|ended| ended.saturating_sub(step.started_ms));
        let took = took.map(|took| duration(i64::try_from(took).unwrap_or(i64::MAX)));
        let result = match (step.succeeded, step.ended_ms) {
            (Some(true), _) => Cell::new("done", style::GOOD),
            (Some(false), _) => Cell::new("failed", style::BAD),
            (None, Some(_)) => "ended".into(),
            (None, None) if run.run.outcome.is_some() => Cell::new("cut short", style::ODD),
            (None, None) => Cell::new("goes on", style::BUSY),
        };
        table.row([
            step.name.as_str().into(),
            took.unwrap_or_default().into(),
            result,
        ]);
    }
    table.write(out, width)
}

fn packages(out: &mut dyn Write, packages: &[RunPackage], width: usize) -> io::Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let strong = style::STRONG;
    writeln!(out, "\n{strong}Packages{strong:#}")?;
    let mut table = Table::bare().indented(2);
    for package in packages {
        table.row([size(package.size).into(), package.file_name.as_str().into()]);
    }
    table.write(out, width)
}
