//! `bbtw cancel`, `pause`, `resume`, `archive`, `retry` and `waive`

use buildbtw_api::namespaces::{Namespace, RetryRequest, UnwaiveRequest, WaiveRequest};
use buildbtw_api::{NamespaceName, NamespaceStatus};
use buildbtw_graph::PkgBase;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::question;
use crate::style;
use crate::words::{count, wrap};

/// Calls a namespace off.
pub async fn cancel(session: &Session, name: &NamespaceName) -> Outcome {
    let namespace = session.client.cancel(name).await?;
    tell(
        session,
        &namespace,
        &format!("`bbtw resume {name}` goes on with it"),
    )
}

/// Hands out no more builds of a namespace.
pub async fn pause(session: &Session, name: &NamespaceName) -> Outcome {
    let namespace = session.client.pause(name).await?;
    tell(
        session,
        &namespace,
        &format!("what is being built goes on; `bbtw resume {name}` hands out the rest"),
    )
}

/// Goes on with a namespace.
pub async fn resume(session: &Session, name: &NamespaceName) -> Outcome {
    let namespace = session.client.resume(name).await?;
    let next = match namespace.status {
        NamespaceStatus::Finished => "everything is built".to_owned(),
        _ => format!("`bbtw watch {name}` follows it"),
    };
    tell(session, &namespace, &next)
}

/// Puts a namespace away.
pub async fn archive(session: &Session, arguments: &cli::Archive) -> Outcome {
    let name = &arguments.namespace;
    if !arguments.yes {
        let status = session.client.namespace(name).await?.namespace.status;
        if matches!(status, NamespaceStatus::Active | NamespaceStatus::Paused) {
            confirm_archiving(name, status).await?;
        }
    }
    let namespace = session.client.archive(name).await?;
    tell(
        session,
        &namespace,
        "its name is free again, and its repository stays readable",
    )
}

/// Asks whether work that is not done is to be given up for good.
async fn confirm_archiving(name: &NamespaceName, status: NamespaceStatus) -> Outcome {
    if !question::can_be_asked() {
        let message = format!(
            "{name} is {status}: archiving calls its builds off for good, and there is no terminal \
             to ask whether it should"
        );
        return Err(Failure::new(message)
            .hint("--yes archives it without asking; `bbtw cancel` can be taken back")
            .usage());
    }
    let question =
        format!("{name} is {status}. Call its builds off and archive it? It cannot be resumed.");
    match question::ask(&question).await? {
        true => Ok(()),
        false => Err(Failure::new("not archived")),
    }
}

fn tell(session: &Session, namespace: &Namespace, next: &str) -> Outcome {
    if session.json {
        return session.print_json(namespace);
    }
    let (strong, colour) = (style::STRONG, style::namespace(namespace.status));
    session.print(|out| {
        writeln!(
            out,
            "Namespace {strong}{}{strong:#} is {colour}{}{colour:#}.",
            namespace.name, namespace.status
        )?;
        for line in wrap(next, session.width.saturating_sub(2)) {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    })
}

/// Runs failures again.
pub async fn retry(session: &Session, arguments: &cli::Retry) -> Outcome {
    let name = &arguments.namespace;
    let request = RetryRequest {
        pkgbases: arguments.pkgbases.clone(),
        force: arguments.force,
    };
    let retried = session.client.retry(name, &request).await?;
    if session.json {
        return session.print_json(&retried);
    }
    session.print(|out| match (retried.builds, retried.dependents) {
        (0, 0) if arguments.force => writeln!(out, "There is nothing to build again in {name}."),
        (0, 0) => {
            writeln!(out, "There is nothing to build again in {name}.")?;
            writeln!(
                out,
                "  only what failed or was called off is; --force also tries what is known to be impossible"
            )?;
            writeln!(
                out,
                "  what waits for a failure (dependency_failed) goes on when that is built: retry the failure"
            )
        }
        (builds, dependents) => {
            let waiting = match dependents {
                0 => String::new(),
                1 => ", and 1 that waits for others".to_owned(),
                _ => format!(", and {dependents} that wait for others"),
            };
            writeln!(
                out,
                "{} will run again{waiting}.",
                count(builds as usize, "build")
            )?;
            writeln!(out, "  watch  bbtw watch {name}")
        }
    })
}

/// Leaves builds out, or takes that back.
pub async fn waive(session: &Session, arguments: &cli::Waive) -> Outcome {
    let name = &arguments.namespace;
    if arguments.undo {
        return unwaive(session, name, &arguments.pkgbases).await;
    }
    let request = WaiveRequest {
        pkgbases: arguments.pkgbases.clone(),
        reason: arguments.reason.clone().unwrap_or_default(),
    };
    let waived = session.client.waive(name, &request).await?;
    if session.json {
        return session.print_json(&waived);
    }
    session.print(|out| {
        let builds = count(waived.builds as usize, "build");
        let dependents = match waived.dependents {
            0 => String::new(),
            _ => format!(
                ", and {} can go on that could not before",
                waived.dependents
            ),
        };
        writeln!(out, "{builds} left out{dependents}.")?;
        writeln!(out, "  watch  bbtw watch {name}")
    })
}

/// Has builds that were left out built after all.
async fn unwaive(session: &Session, name: &NamespaceName, pkgbases: &[PkgBase]) -> Outcome {
    let request = UnwaiveRequest {
        pkgbases: pkgbases.to_vec(),
    };
    let taken_back = session.client.unwaive(name, &request).await?;
    if session.json {
        return session.print_json(&taken_back);
    }
    session.print(|out| {
        let builds = taken_back.builds as usize;
        let later = &taken_back.next_iteration;
        if builds > 0 {
            let verb = if builds == 1 { "is" } else { "are" };
            writeln!(out, "{} {verb} no longer left out.", count(builds, "build"))?;
            writeln!(out, "  watch  bbtw watch {name}")?;
        }
        if !later.is_empty() {
            let text = format!(
                "Something was built with the released {} already: from the next iteration on it is built again.",
                later.join(", ")
            );
            for line in wrap(&text, session.width) {
                writeln!(out, "{line}")?;
            }
            writeln!(out, "  begin it  bbtw rebuild {name}")?;
        }
        if builds == 0 && later.is_empty() {
            writeln!(out, "It is taken back: from now on nothing of that is left out of {name}.")?;
        }
        Ok(())
    })
}
