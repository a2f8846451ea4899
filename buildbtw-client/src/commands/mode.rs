//! `bbtw mode`, and the line about it in other commands.

use std::io::{self, Write};

use buildbtw_api::ServerMode;
use buildbtw_api::modes::{ServerModeNote, ServerModeRequest};
use jiff::Timestamp;

use crate::cli;
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::style;
use crate::words::{ago, count, harmless, wrap};

/// Shows or changes whether the server hands out runs.
pub async fn run(session: &Session, arguments: &cli::Mode) -> Outcome {
    let Some(mode) = arguments.mode else {
        let note = session.client.mode().await?;
        if session.json {
            return session.print_json(&note);
        }
        return session.print(|out| match note.mode {
            ServerMode::Run => writeln!(out, "The server hands out runs."),
            _ => write(out, &note, session.width),
        });
    };
    if mode != ServerMode::Run && arguments.reason.is_none() {
        return Err(Failure::new(format!("{mode} needs a reason"))
            .hint("give one with --reason, such as 'an update at noon'")
            .usage());
    }
    let request = ServerModeRequest {
        mode,
        reason: arguments.reason.clone(),
    };
    let changed = session.client.set_mode(&request).await?;
    if session.json {
        return session.print_json(&changed);
    }
    session.print(|out| match changed.mode.mode {
        ServerMode::Run => writeln!(out, "The server hands out runs."),
        _ => {
            write(out, &changed.mode, session.width)?;
            match changed.taken_back {
                0 => Ok(()),
                runs => writeln!(out, "  taken back: {}", count(runs as usize, "run")),
            }
        }
    })
}

/// Whether the server hands out runs; nothing where it does not say. Commands that are about
/// something else are not to fail for want of this.
pub async fn asked(session: &Session) -> Option<ServerModeNote> {
    session.client.mode().await.ok()
}

/// Says that the server hands out no runs, if so, with the reason and what to do about it.
pub fn write(out: &mut dyn Write, note: &ServerModeNote, width: usize) -> io::Result<()> {
    let Some(remark) = note.remark() else {
        return Ok(());
    };
    let since = note.note.since.map(|since| ago(since, Timestamp::now()));
    let since = since.map_or(String::new(), |since| format!(" (since {since})"));
    let (odd, text) = (style::ODD, harmless(&format!("{remark}{since}")));
    for line in wrap(&text, width) {
        writeln!(out, "{odd}{line}{odd:#}")?;
    }
    writeln!(out, "  again  bbtw mode run")
}
