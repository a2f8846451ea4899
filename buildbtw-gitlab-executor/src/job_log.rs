//! The job's log on GitLab: what the build says, with a section a step that can be folded.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use buildbtw_build::{BuildEvent, StepEvent};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// How many events are written at once.
const MANY: usize = 256;

/// Writes the log.
#[derive(Debug)]
pub struct JobLog<W> {
    out: W,
    /// The section that is open, by its name in the marks.
    open: Option<String>,
    sections: usize,
    /// Whether the next byte begins a line: marks must.
    at_start: bool,
}

impl<W: AsyncWrite + Unpin> JobLog<W> {
    /// A log that begins.
    pub fn new(out: W) -> Self {
        Self {
            out,
            open: None,
            sections: 0,
            at_start: true,
        }
    }

    /// Writes a line of this program's own.
    ///
    /// # Errors
    ///
    /// When nobody reads it.
    pub async fn line(&mut self, line: &str) -> io::Result<()> {
        let mut text = Vec::new();
        self.begin_line(&mut text);
        text.extend_from_slice(line.as_bytes());
        text.push(b'\n');
        self.out.write_all(&text).await?;
        self.out.flush().await
    }

    /// Writes what a build says, to its end. It gives up when nobody reads the log: the server's has
    /// everything.
    pub async fn follow(&mut self, mut events: mpsc::Receiver<BuildEvent>) {
        let mut waiting = Vec::with_capacity(MANY);
        let mut text = Vec::new();
        while events.recv_many(&mut waiting, MANY).await > 0 {
            for event in waiting.drain(..) {
                self.write(&event, now(), &mut text);
            }
            if let Err(error) = self.flush(&mut text).await {
                tracing::debug!(%error, "nobody reads the job's log");
                return;
            }
        }
        self.close(now(), &mut text);
        // There is nothing more to give up.
        let _ = self.flush(&mut text).await;
    }

    async fn flush(&mut self, text: &mut Vec<u8>) -> io::Result<()> {
        self.out.write_all(text).await?;
        text.clear();
        self.out.flush().await
    }

    fn write(&mut self, event: &BuildEvent, now: u64, text: &mut Vec<u8>) {
        match event {
            BuildEvent::Log(bytes) => {
                text.extend_from_slice(bytes);
                self.at_start = bytes.last().map_or(self.at_start, |last| *last == b'\n');
            }
            BuildEvent::Step(step) if step.ended.is_some() => self.close(now, text),
            BuildEvent::Step(step) => {
                self.close(now, text);
                self.begin(step, now, text);
            }
            BuildEvent::Installed(packages) if packages.is_empty() => {}
            BuildEvent::Installed(packages) => {
                self.begin_line(text);
                text.extend_from_slice(
                    format!("{} packages are installed\n", packages.len()).as_bytes(),
                );
            }
        }
    }

    fn begin(&mut self, step: &StepEvent, now: u64, text: &mut Vec<u8>) {
        self.begin_line(text);
        self.sections += 1;
        // Names in marks are words, and each is there once.
        let word: String = step
            .name
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
            .collect();
        let name = format!("buildbtw_{}_{word}", self.sections);
        let mark = format!(
            "\x1b[0Ksection_start:{now}:{name}\r\x1b[0K\x1b[1m{}\x1b[0m\n",
            step.name
        );
        text.extend_from_slice(mark.as_bytes());
        self.open = Some(name);
    }

    fn close(&mut self, now: u64, text: &mut Vec<u8>) {
        if let Some(name) = self.open.take() {
            self.begin_line(text);
            text.extend_from_slice(
                format!("\x1b[0Ksection_end:{now}:{name}\r\x1b[0K\n").as_bytes(),
            );
        }
    }

    fn begin_line(&mut self, text: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.at_start, true) {
            text.push(b'\n');
        }
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use buildbtw_build::StepResult;

    use super::*;

    fn step(name: &str, ended: bool) -> BuildEvent {
        BuildEvent::Step(StepEvent {
            name: name.to_owned(),
            started: Duration::ZERO,
            ended: ended.then_some(Duration::ZERO),
            result: ended.then_some(StepResult::Succeeded),
        })
    }

    fn log(text: &'static str) -> BuildEvent {
        BuildEvent::Log(text.as_bytes().into())
    }

    #[test]
    fn each_step_is_a_section() {
        let mut written = JobLog::new(Vec::new());
        let mut text = Vec::new();
        for event in [
            log("before\n"),
            step("sources", false),
            log("no line end"),
            step("sources", true),
            step("odd:name\r", false),
            step("build", false),
            log("over\n"),
        ] {
            written.write(&event, 7, &mut text);
        }
        written.close(8, &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text.replace("\x1b[0K", "^").replace('\r', "~"),
            "before\n\
             ^section_start:7:buildbtw_1_sources~^\x1b[1msources\x1b[0m\n\
             no line end\n\
             ^section_end:7:buildbtw_1_sources~^\n\
             ^section_start:7:buildbtw_2_oddname~^\x1b[1modd:name~\x1b[0m\n\
             ^section_end:7:buildbtw_2_oddname~^\n\
             ^section_start:7:buildbtw_3_build~^\x1b[1mbuild\x1b[0m\n\
             over\n\
             ^section_end:8:buildbtw_3_build~^\n"
        );
    }
}
