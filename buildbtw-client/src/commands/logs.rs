//! `bbtw logs`

use std::io::{self, IsTerminal, Write};
use std::pin::pin;

use buildbtw_api::builds::{BuildDetails, MadeBy};
use buildbtw_api::client::ClientError;
use buildbtw_api::events::{Event, EventKind, EventQuery};
use buildbtw_api::runs::RunDetails;
use buildbtw_api::{RunId, RunStatus};
use buildbtw_graph::PkgBase;
use futures_util::{Stream, StreamExt};
use serde::Serialize;

use crate::asking;
use crate::cli;
use crate::escapes::Filter;
use crate::failure::{Failure, Outcome};
use crate::output::{self, Session};
use crate::patience::Patience;

/// How often an answer may end before the log does, without a byte more, before we give up.
const TRIES: u32 = 5;

/// The longest line that `--json` keeps together, in bytes.
const LINE_MAX: usize = 1 << 20;

/// Prints the log of a build's run.
pub async fn run(session: &Session, arguments: &cli::Logs) -> Outcome {
    let Found { run, made_by } = match arguments.run {
        Some(run) => Found { run, made_by: None },
        None if arguments.follow => await_run(session, arguments).await?,
        None => find_run(session, arguments)
            .await?
            .map_err(|missing| missing.explain(arguments))?,
    };
    let details = session.client.run(run).await?;
    if let Some(made_by) = made_by {
        if !session.json {
            tell_other(&arguments.pkgbase, &made_by);
        }
    } else if details.namespace != arguments.namespace || details.pkgbase != arguments.pkgbase {
        let message = format!(
            "run {run} is of {} in {}, not of {} in {}",
            details.pkgbase, details.namespace, arguments.pkgbase, arguments.namespace
        );
        return Err(Failure::new(message).hint(format!(
            "`bbtw show {} {}` lists its runs",
            arguments.namespace, arguments.pkgbase
        )));
    }
    let mut sink = Sink::new(session, run);
    let result = copy(session, details, arguments.follow, &mut sink).await;
    // What was held back belongs to the log, however it ended.
    let finished = sink.finish();
    result.and(finished)
}

/// Copies a log to its end, or, when it is followed, until its run is over.
async fn copy(
    session: &Session,
    mut details: RunDetails,
    follow: bool,
    sink: &mut Sink,
) -> Outcome {
    let run = details.run.id;
    let mut offset = 0;
    let mut patience = Patience::default();
    let mut tries = 0;
    loop {
        let before = offset;
        let error = match session.client.log(run, offset, follow).await {
            Err(error) => Some(error),
            Ok(stream) => {
                let mut stream = pin!(stream);
                loop {
                    match stream.next().await {
                        Some(Ok(part)) => {
                            offset += part.len() as u64;
                            sink.write(&part)?;
                            patience.renew();
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                }
            }
        };
        if error.is_none() {
            // An orderly end is the log's end, or that of a server that stops.
            if follow || offset < details.log_length {
                match session.client.run(run).await {
                    Ok(now) => details = now,
                    Err(error) => {
                        patience.wait(Some(error.into())).await?;
                        continue;
                    }
                }
            }
            patience.answered();
            // A run that waits for its packages to be published prints no more.
            let ended = matches!(details.run.status, RunStatus::Publishing | RunStatus::Ended);
            let over = !follow || ended;
            if over && offset >= details.log_length {
                if offset == 0 && ended && !session.json {
                    tell_empty(&details);
                }
                return Ok(());
            }
            tries = if offset > before { 0 } else { tries + 1 };
            if over && tries >= TRIES {
                return Err(Failure::new(format!(
                    "the server gives {offset} bytes of the log of run {run}, which has {}",
                    details.log_length
                )));
            }
        }
        patience.wait(error.map(Failure::from)).await?;
    }
}

/// The log is another build's, whose packages the one that is meant took over.
fn tell_other(pkgbase: &PkgBase, made_by: &MadeBy) {
    let MadeBy {
        namespace,
        iteration,
        architecture,
        ..
    } = made_by;
    anstream::eprintln!(
        "{pkgbase} was not built again: this is the log of its build for {architecture} in iteration {iteration} of {namespace}."
    );
}

/// A run that ended before its worker wrote anything: what is known of it instead.
fn tell_empty(details: &RunDetails) {
    let ended = details.run.outcome.as_ref();
    let why = ended.map_or_else(String::new, |outcome| {
        format!(": {}: {}", outcome.class, outcome.message)
    });
    let text = format!("run {} wrote no log{why}", details.run.id);
    anstream::eprintln!("{}", crate::words::harmless(&text));
}

/// The run whose log is to be printed.
struct Found {
    run: RunId,
    /// Whose it is, where the build that is meant took over its packages.
    made_by: Option<MadeBy>,
}

/// Why there is no run whose log could be printed.
enum Missing {
    /// No build was found, or several.
    Unclear(Failure),
    /// It has not run.
    NotRun(Box<BuildDetails>),
}

impl Missing {
    fn explain(self, arguments: &cli::Logs) -> Failure {
        match self {
            Self::Unclear(failure) => failure,
            Self::NotRun(details) => {
                let build = &details.build;
                let reason = build.reason.as_ref().map(|reason| format!(" ({reason})"));
                let message = format!(
                    "{} has no log: it is {}{}",
                    build.pkgbase,
                    build.status,
                    reason.unwrap_or_default()
                );
                let hint = if build.status.is_final() {
                    format!(
                        "`bbtw show {} {}` says more",
                        arguments.namespace, arguments.pkgbase
                    )
                } else {
                    "-f waits until it is built".to_owned()
                };
                Failure::new(message).hint(hint)
            }
        }
    }
}

/// The newest run of the build that is meant, else the one whose packages it took over.
async fn find_run(
    session: &Session,
    arguments: &cli::Logs,
) -> Result<Result<Found, Missing>, Failure> {
    let name = &arguments.namespace;
    let details = session
        .client
        .namespace_with(name, arguments.iteration)
        .await?;
    let iteration = asking::iteration(&details, arguments.iteration)?;
    let mut builds =
        asking::builds_of(&session.client, name, iteration, &arguments.pkgbase).await?;
    let there: Vec<String> = builds
        .iter()
        .map(|build| format!("{} pass {}", build.build.architecture, build.build.pass))
        .collect();
    builds.retain(|build| {
        arguments
            .arch
            .as_ref()
            .is_none_or(|wanted| build.build.architecture == *wanted)
            && arguments
                .pass
                .is_none_or(|wanted| build.build.pass == wanted)
    });
    // One that stands for the build of another architecture never runs itself.
    if builds.iter().any(|build| !build.runs.is_empty()) {
        builds.retain(|build| !build.runs.is_empty());
    }
    let mut architectures: Vec<&str> = builds
        .iter()
        .map(|build| build.build.architecture.as_str())
        .collect();
    architectures.dedup();
    if architectures.len() > 1 {
        let message = format!(
            "{} is built for {}",
            arguments.pkgbase,
            architectures.join(" and ")
        );
        return Ok(Err(Missing::Unclear(
            Failure::new(message)
                .hint(format!(
                    "say which with --arch, as in --arch {}",
                    architectures[0]
                ))
                .usage(),
        )));
    }
    let Some(last) = builds.pop() else {
        let message = format!(
            "{} has no build for that architecture and pass, only {}",
            arguments.pkgbase,
            there.join(", ")
        );
        return Ok(Err(Missing::Unclear(Failure::new(message))));
    };
    let own = last.runs.first().map(|run| run.id);
    let run = own.or_else(|| last.made_by.as_ref().map(|made_by| made_by.run));
    Ok(match run {
        Some(run) => Ok(Found {
            run,
            made_by: last.made_by.filter(|_| own.is_none()),
        }),
        None => Err(Missing::NotRun(Box::new(last))),
    })
}

/// The newest run of the build that is meant; waits for it to begin.
async fn await_run(session: &Session, arguments: &cli::Logs) -> Result<Found, Failure> {
    let mut patience = Patience::default();
    let (mut reached, mut told) = (false, false);
    loop {
        let query = EventQuery {
            namespace: Some(arguments.namespace.clone()),
            after: None,
        };
        // Opened before the look, so that nothing happens unseen between the two.
        let failure = match session.client.events(&query).await {
            // A server that was never reached has most likely another address.
            Err(error) if !reached => return Err(error.into()),
            Err(error) => Some(error.into()),
            Ok(events) => {
                reached = true;
                patience.answered();
                match look_at_each(session, arguments, events, &mut told).await {
                    Ok(Some(run)) => return Ok(run),
                    Ok(None) => None,
                    Err(failure) => Some(failure),
                }
            }
        };
        patience.wait(failure).await?;
    }
}

/// Looks for the run at once and at every event that may have brought it; `None` when the events
/// end before.
async fn look_at_each(
    session: &Session,
    arguments: &cli::Logs,
    events: impl Stream<Item = Result<Event, ClientError>>,
    told: &mut bool,
) -> Result<Option<Found>, Failure> {
    let mut events = pin!(events);
    let mut look = true;
    loop {
        if look {
            match find_run(session, arguments).await? {
                Ok(run) => return Ok(Some(run)),
                Err(Missing::NotRun(build)) if !build.build.status.is_final() => {
                    if !std::mem::replace(told, true) && !session.json {
                        let (pkgbase, status) = (&build.build.pkgbase, build.build.status);
                        anstream::eprintln!("{pkgbase} is {status}; waiting for it to be built.");
                    }
                }
                Err(missing) => return Err(missing.explain(arguments)),
            }
        }
        match events.next().await {
            Some(event) => look = concerns(&event?, arguments),
            None => return Ok(None),
        }
    }
}

/// Whether an event may have brought the run that is waited for.
fn concerns(event: &Event, arguments: &cli::Logs) -> bool {
    match event.kind {
        EventKind::IterationCreated | EventKind::IterationStatus | EventKind::NamespaceStatus => {
            true
        }
        _ => event.pkgbase.as_ref() == Some(&arguments.pkgbase),
    }
}

/// A line of a log as `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    run: RunId,
    /// Where in the log it begins, in bytes.
    offset: u64,
    line: std::borrow::Cow<'a, str>,
}

/// Where a log goes.
enum Sink {
    /// To a file or another program, as it is.
    Raw,
    /// To somebody's eyes.
    Terminal(Filter),
    /// Line by line as JSON.
    Json {
        run: RunId,
        offset: u64,
        line: Vec<u8>,
    },
}

impl Sink {
    fn new(session: &Session, run: RunId) -> Self {
        if session.json {
            Self::Json {
                run,
                offset: 0,
                line: Vec::new(),
            }
        } else if io::stdout().is_terminal() {
            Self::Terminal(Filter::new(output::shows_colours()))
        } else {
            Self::Raw
        }
    }

    fn write(&mut self, part: &[u8]) -> Outcome {
        let mut out = io::stdout().lock();
        match self {
            Self::Raw => out.write_all(part)?,
            Self::Terminal(filter) => out.write_all(filter.feed(part).as_bytes())?,
            Self::Json { run, offset, line } => {
                for piece in part.split_inclusive(|byte| *byte == b'\n') {
                    line.extend_from_slice(piece);
                    if line.ends_with(b"\n") || line.len() >= LINE_MAX {
                        write_line(&mut out, *run, offset, line)?;
                    }
                }
            }
        }
        out.flush()?;
        Ok(())
    }

    fn finish(self) -> Outcome {
        let mut out = io::stdout().lock();
        match self {
            Self::Raw => {}
            Self::Terminal(filter) => out.write_all(filter.finish().as_bytes())?,
            Self::Json {
                run,
                mut offset,
                mut line,
            } => {
                if !line.is_empty() {
                    write_line(&mut out, run, &mut offset, &mut line)?;
                }
            }
        }
        out.flush()?;
        Ok(())
    }
}

fn write_line(
    out: &mut dyn Write,
    run: RunId,
    offset: &mut u64,
    line: &mut Vec<u8>,
) -> io::Result<()> {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let value = Line {
        run,
        offset: *offset,
        line: String::from_utf8_lossy(text),
    };
    serde_json::to_writer(&mut *out, &value)?;
    out.write_all(b"\n")?;
    *offset += line.len() as u64;
    line.clear();
    Ok(())
}
