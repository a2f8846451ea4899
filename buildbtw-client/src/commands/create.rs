//! `bbtw new`

use std::io::{self, Write};

use buildbtw_api::namespaces::{CreateNamespace, Namespace, PlanRequest};
use buildbtw_api::{NamespaceName, NamespaceStatus, ProblemType};

use crate::cli;
use crate::failure::{FAILED, Failure, Outcome};
use crate::output::Session;
use crate::planning;
use crate::question;
use crate::style;
use crate::words::{count, harmless};

/// A plan of more builds than that is only begun after a question.
const ASK_ABOVE: usize = 100;

/// Makes a namespace, after a look at what it would rebuild.
pub async fn run(session: &Session, arguments: &cli::New) -> Outcome {
    let mut request = planning::request(&arguments.planning)?;
    request.options.on = arguments.on;
    if let Some(name) = &arguments.name {
        refuse_taken(session, name).await?;
    }
    look(session, &request, arguments.yes).await?;
    let namespace = session
        .client
        .create_namespace(&CreateNamespace {
            name: arguments.name.clone(),
            changesets: request.changesets,
            options: request.options,
        })
        .await?;
    if session.json {
        return session.print_json(&namespace);
    }
    session.print(|out| write(out, session, &namespace))?;
    match namespace.iteration.and_then(|iteration| iteration.refusal) {
        Some(_) => Err(Failure::Code(FAILED)),
        None => Ok(()),
    }
}

/// Refuses a name that is taken before the plan is made and read. The server has the last word: it looks again.
async fn refuse_taken(session: &Session, name: &NamespaceName) -> Outcome {
    let known = match session.client.namespace(name).await {
        Ok(details) => details.namespace,
        Err(error) => {
            return match error.problem().map(|problem| &problem.kind) {
                Some(ProblemType::UnknownNamespace) => Ok(()),
                _ => Err(error.into()),
            };
        }
    };
    if known.status == NamespaceStatus::Archived {
        return Ok(());
    }
    Err(
        Failure::new(format!("there is a namespace {name} already")).hint(format!(
            "choose another name with --name, or put the old one away with `bbtw archive {name}`"
        )),
    )
}

/// Shows what would be rebuilt; whether a large plan is to be begun is asked, unless that is said.
pub async fn look(session: &Session, request: &PlanRequest, yes: bool) -> Outcome {
    let plan = session.client.plan(request).await?;
    if !session.json {
        session.print(|out| planning::write(out, &plan, false, session.width))?;
    }
    let builds = planning::builds(&plan);
    match builds > ASK_ABOVE && !yes {
        true => confirm(builds).await,
        false => Ok(()),
    }
}

/// Asks whether a large plan is to be begun.
async fn confirm(builds: usize) -> Outcome {
    let builds = count(builds, "build");
    if !question::can_be_asked() {
        return Err(Failure::new(format!(
            "this would begin {builds}, and there is no terminal to ask whether it should"
        ))
        .hint("--yes begins it without asking; --scope direct or none rebuilds less")
        .usage());
    }
    match question::ask(&format!("Begin {builds}?")).await? {
        true => Ok(()),
        false => Err(Failure::new("not begun")),
    }
}

fn write(out: &mut dyn Write, session: &Session, namespace: &Namespace) -> io::Result<()> {
    let (strong, odd, faint) = (style::STRONG, style::ODD, style::FAINT);
    let name = &namespace.name;
    writeln!(out)?;
    if let Some(remark) = &namespace.remark {
        writeln!(out, "{odd}note:{odd:#} {}", harmless(remark))?;
    }
    writeln!(
        out,
        "Namespace {strong}{name}{strong:#} is {}.",
        namespace.status
    )?;
    writeln!(out, "  page   {}", harmless(&namespace.page))?;
    writeln!(out, "  watch  bbtw watch {name}")?;
    if let Some(iteration) = &namespace.iteration {
        if let Some(refusal) = &iteration.refusal {
            writeln!(
                out,
                "{odd}note:{odd:#} no plan could be made: {}",
                harmless(refusal)
            )?;
            return Ok(());
        }
        writeln!(
            out,
            "\n{faint}To install its packages, before other repositories in pacman.conf:{faint:#}"
        )?;
        for line in snippet(session, name.as_str(), iteration) {
            writeln!(out, "  {}", harmless(&line))?;
        }
    }
    Ok(())
}

/// The lines of pacman.conf(5) that make an iteration's repository known.
pub fn snippet(
    session: &Session,
    name: &str,
    iteration: &buildbtw_api::namespaces::Iteration,
) -> Vec<String> {
    let mut servers: Vec<String> = iteration
        .build_sets
        .iter()
        .map(|(architecture, set)| {
            let path = set.repository.trim_end_matches('/');
            // One line serves all architectures, as pacman puts in its own.
            match path.strip_suffix(architecture.as_str()) {
                Some(front) if front.ends_with('/') => session.address(&format!("{front}$arch")),
                _ => session.address(path),
            }
        })
        .collect();
    servers.dedup();
    if servers.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("[{name}]"), "SigLevel = Optional".to_owned()];
    lines.extend(
        servers
            .into_iter()
            .map(|server| format!("Server = {server}")),
    );
    lines
}
