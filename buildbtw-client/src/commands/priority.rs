//! `bbtw priority`

use buildbtw_api::priority::{Priority, PriorityRequest};
use jiff::Timestamp;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::style;
use crate::words::{between, moment};

/// Sets a namespace's share of the workers.
pub async fn run(session: &Session, arguments: &cli::Priority) -> Outcome {
    let name = &arguments.namespace;
    if arguments.weight > 1 && arguments.reason.is_none() {
        return Err(Failure::new("a weight above 1 needs a reason")
            .hint("give one with --reason, such as 'a security update'")
            .usage());
    }
    let request = PriorityRequest {
        weight: arguments.weight,
        reason: arguments.reason.clone(),
        seconds: arguments.time.map(|time| time.as_secs()),
    };
    let namespace = session.client.set_priority(name, &request).await?;
    if session.json {
        return session.print_json(&namespace);
    }
    let strong = style::STRONG;
    session.print(|out| match &namespace.priority {
        Some(priority) => {
            let weight = priority.weight;
            writeln!(
                out,
                "Namespace {strong}{name}{strong:#} has weight {weight}{}.",
                until(priority)
            )
        }
        None => writeln!(
            out,
            "Namespace {strong}{name}{strong:#} has the weight of all others."
        ),
    })
}

/// A weight with its end and reason.
pub fn words(priority: &Priority) -> String {
    let reason = priority.reason.as_ref().map(|reason| format!(": {reason}"));
    format!(
        "{}{}{}",
        priority.weight,
        until(priority),
        reason.unwrap_or_default()
    )
}

fn until(priority: &Priority) -> String {
    let Some(until) = priority.until else {
        return String::new();
    };
    let left = between(Timestamp::now(), until);
    format!(" until {} ({left} left)", moment(until))
}
