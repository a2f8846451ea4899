//! A build: why it stands where it stands, what is next to it, its runs and the newest log.

use askama::Template;
use axum::extract::{Path, State};
use buildbtw_api::builds::{Build, Neighbour};
use buildbtw_api::runs::{RunDetails, RunSummary};
use buildbtw_api::{NamespaceName, ProblemType};

use super::page::{PageResult, duration, name, render, time};
use crate::Server;
use crate::api::extract;
use crate::db::builds::{self, Side};
use crate::db::{events, runs};
use crate::problems::HttpProblem;

/// How much of the end of a log the page shows, in bytes. The whole is one click away.
const LOG_TAIL: u64 = 64 << 10;

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    namespace: NamespaceName,
    iteration: u32,
    build: Build,
    needs: Vec<Neighbour>,
    needed_by: Vec<Neighbour>,
    runs: Vec<RunRow>,
    newest: Option<RunDetails>,
    log: String,
    log_from: u64,
    last_event: i64,
}

struct RunRow {
    run: RunSummary,
    claimed: String,
    took: String,
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
    let (namespace, number, pass): (NamespaceName, u32, u8) =
        (name(&namespace)?, name(&number)?, name(&pass)?);
    let (_, iteration) = extract::iteration(&server, &namespace, number).await?;
    let mut tx = server.db.read().await?;
    let found = builds::find(&mut tx, iteration.key, &architecture, &pkgbase, pass).await?;
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
    let (mut log, mut log_from) = (String::new(), 0);
    if let Some(run) = &mut newest {
        run.log_length = server.logs.length(run.run.id).await;
        log_from = run.log_length.saturating_sub(LOG_TAIL);
        let bytes = server.logs.read(run.run.id, log_from, LOG_TAIL).await?;
        log = plain(&String::from_utf8_lossy(&bytes));
    }
    let now = crate::clock::now();
    let rows = runs::of_build(&mut tx, key).await?;
    render(&BuildPage {
        needs: builds::neighbours(&mut tx, key, Side::Needs).await?,
        needed_by: builds::neighbours(&mut tx, key, Side::NeededBy).await?,
        runs: rows
            .into_iter()
            .map(|run| RunRow {
                claimed: time(&run.claimed_at),
                took: duration(
                    run.started_at.as_ref().unwrap_or(&run.claimed_at),
                    run.ended_at.as_ref().unwrap_or(&now),
                ),
                run,
            })
            .collect(),
        namespace,
        iteration: number,
        build,
        newest,
        log,
        log_from,
        last_event: events::last(&mut tx).await?,
    })
}

/// A log without terminal escapes and control characters, which mean nothing on a page.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // CSI and OSC sequences (ECMA-48): up to the final byte, or to BEL or ESC \.
            match rest.next() {
                Some('[') => {
                    while rest
                        .next()
                        .is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c))
                    {}
                }
                Some(']') => {
                    while let Some(c) = rest.next() {
                        if c == '\u{7}' || (c == '\u{1b}' && rest.next_if_eq(&'\\').is_some()) {
                            break;
                        }
                    }
                }
                _ => {}
            }
        } else if c == '\n' || c == '\t' || !c.is_control() {
            plain.push(c);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_vanish_and_text_stays() {
        assert_eq!(
            plain("\u{1b}[1;31mred\u{1b}[0m\r\n\u{1b}]0;title\u{7}x\u{1b}]8;;u\u{1b}\\y"),
            "red\nxy"
        );
        assert_eq!(plain("cut off \u{1b}[1"), "cut off ");
    }
}
