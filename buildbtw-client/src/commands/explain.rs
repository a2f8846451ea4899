//! `bbtw explain`

use std::io::{self, Write};

use buildbtw_api::builds::Build;
use buildbtw_api::explanations::Explanation;
use serde::Serialize;

use crate::asking;
use crate::cli;
use crate::failure::Outcome;
use crate::output::Session;
use crate::style;
use crate::words::{harmless, wrap};

/// A build with its explanation, as `--json` prints it.
#[derive(Serialize)]
struct Explained<'a> {
    architecture: &'a str,
    pass: u8,
    #[serde(flatten)]
    explanation: &'a Explanation,
    /// What it says, in a sentence.
    text: String,
    /// What somebody could do.
    remedy: Option<String>,
}

/// Says why the builds of a package base are not running now.
pub async fn run(session: &Session, arguments: &cli::Explain) -> Outcome {
    let name = &arguments.namespace;
    let details = session.client.namespace(name).await?;
    let iteration = asking::iteration(&details, arguments.iteration)?;
    let builds = asking::builds_of(&session.client, name, iteration, &arguments.pkgbase).await?;
    let mut explained = Vec::new();
    for details in builds {
        let build = details.build;
        let explanation = session
            .client
            .explanation(name, iteration.number, &build)
            .await?;
        explained.push((build, explanation));
    }
    let remedy = |one: &Explanation| one.remedy(name.as_str(), arguments.pkgbase.as_str());
    if session.json {
        let all: Vec<Explained<'_>> = explained
            .iter()
            .map(|(build, explanation)| Explained {
                architecture: build.architecture.as_str(),
                pass: build.pass,
                explanation,
                text: explanation.to_string(),
                remedy: remedy(explanation),
            })
            .collect();
        return session.print_json(&all);
    }
    let several = explained.len() > 1;
    session.print(|out| {
        for (build, explanation) in &explained {
            let remedy = remedy(explanation);
            write(out, build, several, explanation, remedy, session.width)?;
        }
        Ok(())
    })
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
    writeln!(
        out,
        "{strong}{}{strong:#}{which} is {}:",
        build.pkgbase, build.status
    )?;
    for line in wrap(&harmless(&explanation.to_string()), width.saturating_sub(2)) {
        writeln!(out, "  {line}")?;
    }
    if let Some(remedy) = remedy {
        for line in wrap(&harmless(&remedy), width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}
