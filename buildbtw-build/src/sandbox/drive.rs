//! Drives a sandbox from the worker: starts the supervisor, passes the log on, keeps the limits on
//! time, silence and log, and hands back the outcome.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Child;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::judge::{Evidence, Reason, judge};
use super::log::LogLimit;
use super::steps::Steps;
use super::wire::{News, Order, Settings, Task, Wish};
use super::{PACKAGES, SANDBOX, SUPERVISOR, reexecute, remove_tree};
use crate::builder::{Builder, Storage};
use crate::report::{BuildEvent, BuildOutcome, InstalledPackage, OutcomeClass, StepResult};
use crate::request::{BuildRequest, Limits};

/// How long a build has from being asked to end to being ended. makepkg removes its lock and its
/// half-written packages in that time; nothing of it is needed.
const GRACE: Duration = Duration::from_secs(5);

/// How long the supervisor has to clear up after it ended the build. A large tree on a slow disk
/// takes minutes to remove.
const CLEARING: Duration = Duration::from_secs(15 * 60);

/// How many events may wait for the caller before the build has to wait, too.
const MOST_EVENTS: usize = 64;

/// How much of the log is read at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// A supervisor that was started, with the sockets and pipes to it.
pub struct Started {
    /// The supervisor.
    pub child: Child,
    /// What everything in the sandbox writes.
    pub log: Receiver,
    /// What the supervisor tells.
    pub news: Lines<BufReader<OwnedReadHalf>>,
    /// Where it is told what to do. It ends everything when this is closed.
    pub wishes: OwnedWriteHalf,
}

/// The settings of a sandbox.
pub fn settings(builder: &Builder, limits: &Limits) -> Settings {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    Settings {
        hidden: builder.hidden.clone(),
        in_memory: builder.storage == Storage::Memory,
        jobs: builder
            .jobs
            .unwrap_or_else(|| u32::try_from(processors).unwrap_or(1)),
        processes: builder.processes,
        memory: limits.memory,
        disk: limits.disk,
        without_makepkg_lints: builder.without_makepkg_lints,
    }
}

/// Starts a supervisor in a work folder and gives it its order.
pub async fn start(order: &Order, work_dir: &Path) -> io::Result<Started> {
    std::fs::create_dir_all(work_dir)?;
    let (log, log_writer) = io::pipe()?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let child = {
        let mut command = tokio::process::Command::from(reexecute(SUPERVISOR));
        command
            .current_dir(work_dir)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(log_writer.try_clone()?)))
            .stderr(Stdio::from(OwnedFd::from(log_writer)))
            // Ctrl-C in a terminal goes to the whole process group; the supervisor has to stay.
            .process_group(0);
        command.spawn()?
        // Dropping the command closes our ends of its pipes: else the log would never end.
    };
    let (reader, mut wishes) = UnixStream::from_std(ours)?.into_split();
    say(&mut wishes, order).await?;
    Ok(Started {
        child,
        log: Receiver::from_owned_fd(OwnedFd::from(log))?,
        news: BufReader::new(reader).lines(),
        wishes,
    })
}

async fn say(wishes: &mut OwnedWriteHalf, word: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    wishes.write_all(&line).await
}

/// Carries out one build.
pub(crate) async fn carry_out(
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
) -> BuildOutcome {
    let task = Task::Build(Box::new(request.clone()));
    drive(task, builder, request, work_dir, events, cancel).await
}

/// Has a supervisor do a task, and follows it to its end.
pub(crate) async fn drive(
    task: Task,
    builder: &Builder,
    request: &BuildRequest,
    work_dir: &Path,
    events: Sender<BuildEvent>,
    cancel: CancellationToken,
) -> BuildOutcome {
    let began = Instant::now();
    let order = Order {
        task,
        settings: settings(builder, &request.limits),
    };
    let started = match start(&order, work_dir).await {
        Ok(started) => started,
        Err(error) => {
            return BuildOutcome::infrastructure(format!("cannot start the sandbox: {error}"));
        }
    };
    let mut drive = Drive {
        began,
        limits: &request.limits,
        log: LogLimit::new(request.limits.log),
        steps: Steps::default(),
        evidence: Evidence::default(),
        installed: Vec::new(),
        waiting: VecDeque::new(),
    };
    drive.follow(started, &events, &cancel).await;
    drive.clear_up(work_dir).await;
    let mut outcome = judge(&drive.evidence, &request.limits);
    outcome.installed = drive.installed;
    if outcome.class == OutcomeClass::Success {
        let names = drive.evidence.end.iter().flat_map(|end| &end.packages);
        outcome.packages = names
            .map(|name| work_dir.join(PACKAGES).join(name))
            .collect();
        crate::made::check(&mut outcome, request);
    }
    outcome
}

struct Drive<'a> {
    began: Instant,
    limits: &'a Limits,
    log: LogLimit,
    steps: Steps,
    evidence: Evidence,
    installed: Vec<InstalledPackage>,
    /// What the caller has not taken yet.
    waiting: VecDeque<BuildEvent>,
}

impl Drive<'_> {
    /// Follows a build until its supervisor has ended and everything is told.
    async fn follow(
        &mut self,
        started: Started,
        events: &Sender<BuildEvent>,
        cancel: &CancellationToken,
    ) {
        let Started {
            mut child,
            mut log,
            mut news,
            mut wishes,
        } = started;
        let mut buffer = BytesMut::with_capacity(CHUNK);
        let (mut log_open, mut news_open, mut events_open) = (true, true, true);
        let mut silent_since = Instant::now();
        let mut kill_at: Option<Instant> = None;
        let mut give_up_at: Option<Instant> = None;
        let mut killed = false;
        let time_up = pin!(sleep_until(self.began + self.limits.time));
        let mut time_up = time_up;
        while log_open || news_open || (events_open && !self.waiting.is_empty()) {
            let running = news_open && self.evidence.reason.is_none();
            // While the caller takes its time the build waits with its words: that is not its
            // own silence.
            let reading = log_open && self.waiting.len() < MOST_EVENTS;
            let quiet_until = silent_since + self.limits.silence;
            let asked: Option<Reason> = tokio::select! {
                permit = events.reserve(), if events_open && !self.waiting.is_empty() => {
                    match permit {
                        Ok(permit) => {
                            if let Some(event) = self.waiting.pop_front() {
                                permit.send(event);
                            }
                            if !reading {
                                silent_since = Instant::now();
                            }
                        }
                        Err(_) => {
                            events_open = false;
                            self.waiting.clear();
                        }
                    }
                    None
                }
                read = log.read_buf(&mut buffer), if reading => {
                    silent_since = Instant::now();
                    match read {
                        Ok(0) | Err(_) => log_open = false,
                        Ok(_) => self.take_log(&mut buffer),
                    }
                    (self.log.is_exceeded() && running).then_some(Reason::Log)
                }
                line = news.next_line(), if news_open => {
                    match line {
                        Ok(Some(line)) => self.hear(&line),
                        Ok(None) | Err(_) => news_open = false,
                    }
                    None
                }
                () = cancel.cancelled(), if running => Some(Reason::Cancelled),
                () = &mut time_up, if running => Some(Reason::Time),
                () = sleep_until(quiet_until), if running && reading => Some(Reason::Silence),
                () = until(kill_at), if kill_at.is_some() => {
                    kill_at = None;
                    killed = true;
                    give_up_at = Some(Instant::now() + CLEARING);
                    // If it cannot be told, it is gone already.
                    let _ = say(&mut wishes, &Wish::Kill).await;
                    None
                }
                () = until(give_up_at), if give_up_at.is_some() => {
                    give_up_at = None;
                    // Its death is that of everything below it.
                    let _ = child.start_kill();
                    None
                }
            };
            if let Some(reason) = asked {
                self.evidence.reason = Some(reason);
                if !killed {
                    kill_at = Some(Instant::now() + GRACE);
                    let _ = say(&mut wishes, &Wish::Stop).await;
                }
            }
            if !events_open {
                self.waiting.clear();
            }
        }
        let _ = child.wait().await;
        self.finish();
        while let (true, Some(event)) = (events_open, self.waiting.pop_front()) {
            events_open = events.send(event).await.is_ok();
        }
    }

    fn take_log(&mut self, buffer: &mut BytesMut) {
        let bytes = buffer.split().freeze();
        buffer.reserve(CHUNK);
        let now = self.began.elapsed();
        let events = self.steps.read(&bytes, now);
        let passed = self.log.take(bytes);
        if !passed.is_empty() {
            self.waiting.push_back(BuildEvent::Log(passed));
        }
        self.waiting
            .extend(events.into_iter().map(BuildEvent::Step));
    }

    fn hear(&mut self, line: &str) {
        let now = self.began.elapsed();
        match serde_json::from_str::<News>(line) {
            Ok(News::Step { name, watched }) => {
                let events = self.steps.begin(&name, now, watched);
                self.waiting
                    .extend(events.into_iter().map(BuildEvent::Step));
            }
            Ok(News::Installed(packages)) => {
                self.installed.clone_from(&packages);
                self.waiting.push_back(BuildEvent::Installed(packages));
            }
            Ok(News::Ended(end)) => self.evidence.end = Some(end),
            Ok(News::Broken(reason)) => self.evidence.broken = Some(reason),
            Ok(News::Over(facts)) => {
                if let Some(leftovers) = &facts.leftovers {
                    tracing::warn!("{leftovers}");
                }
                self.evidence.facts = Some(facts);
            }
            Ok(News::Tried(_)) => {}
            Err(error) => tracing::warn!(%error, "a sandbox said something that is not understood"),
        }
    }

    /// The last words: the log's tail, and the end of the current step.
    fn finish(&mut self) {
        if let Some(tail) = self.log.finish() {
            self.waiting.push_back(BuildEvent::Log(tail));
        }
        self.evidence.step = self.steps.current().map(str::to_owned);
        self.evidence.complaint = self.steps.last_error().map(str::to_owned);
        let class = judge(&self.evidence, self.limits).class;
        let result = match class {
            OutcomeClass::Success => StepResult::Succeeded,
            _ => StepResult::Failed,
        };
        let last = self.steps.end(self.began.elapsed(), result);
        self.waiting.extend(last.map(BuildEvent::Step));
    }

    /// What is left when the supervisor itself was killed.
    async fn clear_up(&self, work_dir: &Path) {
        let (sandbox, packages) = (work_dir.join(SANDBOX), work_dir.join(PACKAGES));
        let killed = self.evidence.facts.is_none();
        let failed = !matches!(&self.evidence.end, Some(end) if end.class == OutcomeClass::Success);
        if !killed && !failed {
            return;
        }
        // It may take a while, and others are waiting for this thread.
        let clearing = tokio::task::spawn_blocking(move || {
            if killed {
                crate::sweep::clear(&sandbox)?;
            }
            remove_tree(&packages)
        });
        if let Ok(Err(error)) = clearing.await {
            tracing::warn!(%error, folder = %work_dir.display(), "cannot remove a sandbox's files");
        }
    }
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}
