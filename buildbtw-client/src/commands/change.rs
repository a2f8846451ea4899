//! `bbtw add`, `remove`, `update` and `rebuild`: each makes a new iteration.

use std::io::{self, Write};

use buildbtw_api::changing::{AddRequest, RebuildRequest, RemoveRequest};
use buildbtw_api::namespaces::{Namespace, PlanRequest};

use super::create;
use crate::cli;
use crate::failure::{FAILED, Failure, Outcome};
use crate::output::Session;
use crate::style;
use crate::words::{harmless, wrap};

/// Adds origin changesets, after a look at what would be rebuilt then.
pub async fn add(session: &Session, arguments: &cli::Add) -> Outcome {
    let name = &arguments.namespace;
    let there = session.client.namespace(name).await?.namespace;
    let added = arguments.changesets.iter();
    let added = added.filter(|new| {
        there
            .changesets
            .iter()
            .all(|old| old.pkgbase != new.pkgbase)
    });
    let request = PlanRequest {
        changesets: there.changesets.iter().chain(added).cloned().collect(),
        options: there.options.clone(),
        namespace: Some(name.clone()),
    };
    // With a changeset that is there already nothing would be begun; the server says why.
    if request.changesets.len() == there.changesets.len() + arguments.changesets.len() {
        create::look(session, &request, arguments.yes).await?;
    }
    let request = AddRequest {
        changesets: arguments.changesets.clone(),
    };
    let namespace = session.client.add(name, &request).await?;
    tell(session, &namespace)
}

/// Takes origin changesets out.
pub async fn remove(session: &Session, arguments: &cli::Remove) -> Outcome {
    let request = RemoveRequest {
        changesets: arguments.changesets.clone(),
    };
    let namespace = session.client.remove(&arguments.namespace, &request);
    tell(session, &namespace.await?)
}

/// Takes newer commits of dependents and newer base repositories.
pub async fn update(session: &Session, arguments: &cli::Update) -> Outcome {
    let name = &arguments.namespace;
    let updated = session.client.update(name).await?;
    if session.json {
        session.print_json(&updated)?;
        return refused(&updated.namespace);
    }
    if updated.updated {
        return tell(session, &updated.namespace);
    }
    session.print(|out| {
        writeln!(
            out,
            "Nothing is newer than what {name} builds; no iteration was made."
        )?;
        writeln!(out, "  once more  bbtw rebuild {name}")
    })
}

/// Makes a new iteration of what there is.
pub async fn rebuild(session: &Session, arguments: &cli::Rebuild) -> Outcome {
    let request = RebuildRequest {
        reuse: !arguments.no_reuse,
    };
    let namespace = session
        .client
        .rebuild(&arguments.namespace, &request)
        .await?;
    tell(session, &namespace)?;
    if request.reuse && !session.json {
        let name = &arguments.namespace;
        let text = format!(
            "What is built of the same as before is reused; `bbtw rebuild {name} --no-reuse` builds all of it again."
        );
        session.print(|out| {
            for line in wrap(&text, session.width) {
                writeln!(out, "{line}")?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// A plan that could not be made is a failure of the command.
fn refused(namespace: &Namespace) -> Outcome {
    let iteration = namespace.iteration.as_ref();
    match iteration.and_then(|iteration| iteration.refusal.as_ref()) {
        Some(_) => Err(Failure::Code(FAILED)),
        None => Ok(()),
    }
}

fn tell(session: &Session, namespace: &Namespace) -> Outcome {
    match session.json {
        true => session.print_json(namespace)?,
        false => session.print(|out| write(out, session, namespace))?,
    }
    refused(namespace)
}

fn write(out: &mut dyn Write, session: &Session, namespace: &Namespace) -> io::Result<()> {
    let (strong, odd, name) = (style::STRONG, style::ODD, &namespace.name);
    let Some(iteration) = &namespace.iteration else {
        return writeln!(out, "Namespace {strong}{name}{strong:#} has no iteration.");
    };
    writeln!(
        out,
        "Iteration {} of {strong}{name}{strong:#} begins:",
        iteration.number
    )?;
    for line in wrap(&harmless(&iteration.why), session.width.saturating_sub(2)) {
        writeln!(out, "  {line}")?;
    }
    if let Some(refusal) = &iteration.refusal {
        let refusal = harmless(refusal);
        return writeln!(out, "{odd}note:{odd:#} no plan could be made: {refusal}");
    }
    let builds: u32 = iteration.build_sets.values().map(|set| set.total()).sum();
    writeln!(out, "  builds   {builds}")?;
    writeln!(out, "  changes  bbtw diff {name}")?;
    writeln!(out, "  watch    bbtw watch {name}")
}
