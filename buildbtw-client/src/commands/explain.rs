//! `bbtw explain`

use std::io::{self, Write};

use buildbtw_api::builds::{Build, BuildDetails};
use buildbtw_api::explanations::Explanation;
use buildbtw_api::ingredients::{Explained, Flaky};
use serde::Serialize;

use crate::asking;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::words::{harmless, moment, wrap};

/// A build with its explanation, as `--json` prints it.
#[derive(Serialize)]
struct Shown<'a> {
    architecture: &'a str,
    pass: u8,
    #[serde(flatten)]
    explained: &'a Explained,
    /// What it says, in a sentence.
    text: String,
    /// What somebody could do.
    remedy: Option<String>,
    /// What changed since it was built before, a sentence each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    #[serde(skip_serializing_if = "<[Flaky]>::is_empty")]
    flaky: &'a [Flaky],
}

/// Says why the builds of a package base are not running now.
pub async fn run(session: &Session, arguments: &cli::Explain) -> Outcome {
    let name = &arguments.namespace;
    let details = session
        .client
        .namespace_with(name, arguments.iteration)
        .await?;
    let iteration = asking::iteration(&details, arguments.iteration)?;
    let builds = asking::builds_of(&session.client, name, iteration, &arguments.pkgbase).await?;
    let mut explained = Vec::new();
    for details in builds {
        let explanation = session
            .client
            .explanation(name, iteration.number, &details.build)
            .await?;
        explained.push((details, explanation));
    }
    let remedy = |one: &Explanation| one.remedy(name.as_str(), arguments.pkgbase.as_str());
    if session.json {
        let all: Vec<Shown<'_>> = explained
            .iter()
            .map(|(details, explained)| Shown {
                architecture: details.build.architecture.as_str(),
                pass: details.build.pass,
                explained,
                text: explained.explanation.to_string(),
                remedy: remedy(&explained.explanation),
                changed: sentences(explained),
                flaky: &details.flaky,
            })
            .collect();
        return session.print_json(&all);
    }
    let several = explained.len() > 1;
    session.print(|out| {
        for (details, explained) in &explained {
            let remedy = remedy(&explained.explanation);
            let explanation = &explained.explanation;
            write(
                out,
                &details.build,
                several,
                explanation,
                remedy,
                session.width,
            )?;
            write_rebuilt(out, explained, session.width)?;
            if !details.flaky.is_empty() {
                flaky(out, details, session.width)?;
            }
        }
        Ok(())
    })
}

/// What changed since a build was built before, a sentence each.
fn sentences(explained: &Explained) -> Vec<String> {
    let rebuilt = explained.rebuilt.iter();
    let because = rebuilt.flat_map(|rebuilt| &rebuilt.because);
    because.map(ToString::to_string).collect()
}

fn write_rebuilt(out: &mut dyn Write, explained: &Explained, width: usize) -> io::Result<()> {
    let Some(rebuilt) = &explained.rebuilt else {
        return Ok(());
    };
    let text = format!(
        "It was built before, in iteration {} of {} ({}), and once more because:",
        rebuilt.iteration,
        rebuilt.namespace,
        moment(rebuilt.ended_at)
    );
    for line in wrap(&text, width) {
        writeln!(out, "{line}")?;
    }
    for sentence in sentences(explained) {
        for line in wrap(&harmless(&sentence), width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// The times that a package base failed by itself and then succeeded.
pub fn flaky(out: &mut dyn Write, details: &BuildDetails, width: usize) -> io::Result<()> {
    let odd = style::ODD;
    let text = "It is flaky: it failed, and then succeeded with the same input:";
    for line in wrap(text, width) {
        writeln!(out, "{odd}{line}{odd:#}")?;
    }
    for one in &details.flaky {
        let (at, failed, passed) = (moment(one.noticed_at), one.failed, one.passed);
        writeln!(out, "  {at}")?;
        writeln!(out, "    failed  {failed}")?;
        writeln!(out, "    passed  {passed}")?;
    }
    Ok(())
}

fn write(
    out: &mut dyn Write,
    build: &Build,
    several: bool,
    explanation: &Explanation,
    remedy: Option<String>,
    width: usize,
) -> io::Result<()> {
    let strong = style::STRONG;
    let which = match several {
        true => format!(" ({}, pass {})", build.architecture, build.pass),
        false => String::new(),
    };
    // That it is what it is needs no second line.
    let why = match explanation {
        Explanation::Done { message, .. } => message.clone(),
        other => Some(other.to_string()),
    };
    writeln!(
        out,
        "{strong}{}{strong:#}{which} is {}{}",
        build.pkgbase,
        build.status,
        if why.is_some() { ':' } else { '.' }
    )?;
    if let Some(why) = why {
        for line in wrap(&harmless(&why), width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
    }
    if let Some(remedy) = remedy {
        for line in wrap(&harmless(&remedy), width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}
