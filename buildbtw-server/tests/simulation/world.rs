//! A server, its workers, the network between them, and a clock that jumps from event to event. The
//! server's own code decides and its own database keeps; only time, network and workers are played.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::Poll;
use std::time::{Duration, Instant};

use buildbtw_api::{NamespaceName, RunId};
use buildbtw_server::clock::{self, Simulated};
use buildbtw_server::config::Config;
use buildbtw_server::db::{Db, faults};
use buildbtw_server::{Server, dispatch};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::packages::Distribution;
use super::worker::{Stage, Worker};

/// When it begins, by the wall clock.
const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// How long things go wrong; after that they only have to come to an end.
const TROUBLE: Duration = Duration::from_secs(30 * 60);

/// By then everything has to have come to an end.
const LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Something that happens at a time.
#[derive(Debug, Clone)]
pub enum Event {
    /// The server starts after a crash.
    ServerStarts,
    /// The server's wall clock is set to another time.
    ClockJumps,
    /// A person does something.
    Person,
    /// A worker's program starts.
    WorkerStarts(usize),
    /// A worker's program is killed.
    WorkerDies(usize),
    /// A worker introduces itself. It goes for that life only, like all that follow.
    Register(usize, u32),
    /// A worker asks for a run.
    Ask(usize, u32),
    /// A worker says that it lives.
    Beat(usize, u32),
    /// A worker sends a report, unless it was answered or called off.
    Send(usize, u32, RunId, Stage),
    /// A report reaches the server. Nobody hears the answer to a ghost's.
    Arrive(usize, u32, Box<super::worker::Held>, Stage, bool),
    /// Packages are published, if any wait for it.
    Publish,
    /// Something may be ready by now.
    Nudge,
    /// From now on the server's disk is like that.
    Disk(Disk),
}

/// How the server's disk does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// As it should.
    Fine,
    /// Nothing more goes onto it.
    Full,
    /// Everything takes so long that time passes meanwhile.
    Slow,
}

/// Why a simulation is not right.
#[derive(Debug)]
pub struct Violation(pub String);

pub struct World {
    pub rng: Rng,
    pub config: Config,
    pub server: Option<Server>,
    pub workers: Vec<Worker>,
    pub namespaces: BTreeMap<NamespaceName, Distribution>,
    /// The workers that wait for a run.
    pub asking: BTreeSet<usize>,
    /// The runs whose end was taken.
    pub ended: BTreeSet<RunId>,
    /// Whether something happened since the last look that may matter to those who ask.
    pub stirred: bool,
    /// Whether things still go wrong.
    pub trouble: bool,
    /// How the server's disk does.
    pub disk: Disk,
    /// What the server that runs now had committed at the last look for contradictions.
    pub looked_at: Option<u64>,
    /// Time since the beginning.
    pub elapsed: Duration,
    wall_offset: SignedDuration,
    began: Instant,
    queue: BTreeMap<(Duration, u64), Event>,
    count: u64,
    /// What happened, for people who look into a seed.
    pub story: String,
    _folder: TempDir,
}

impl World {
    pub async fn new(seed: u64) -> Self {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory).unwrap(),
            false => tempfile::tempdir().unwrap(),
        };
        let sources = folder.path().join("sources");
        std::fs::create_dir(&sources).unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("buildbtw.db"), empty_database()).unwrap();
        let mut rng = Rng::with_seed(seed);
        let workers = (0..rng.usize(1..5))
            .map(|number| Worker::new(number, &mut rng))
            .collect();
        let world = Self {
            config: Config::for_folders(data, sources),
            server: None,
            workers,
            namespaces: BTreeMap::new(),
            asking: BTreeSet::new(),
            ended: BTreeSet::new(),
            stirred: false,
            trouble: true,
            disk: Disk::Fine,
            looked_at: None,
            elapsed: Duration::ZERO,
            wall_offset: SignedDuration::ZERO,
            began: Instant::now(),
            queue: BTreeMap::new(),
            count: 0,
            story: String::new(),
            rng,
            _folder: folder,
        };
        world.set_clock();
        world
    }

    /// Plays it to the end.
    pub async fn run(&mut self) -> Result<(), Violation> {
        self.start_server().await?;
        for _ in 0..self.rng.usize(1..4) {
            self.new_namespace().await?;
        }
        for worker in 0..self.workers.len() {
            self.soon(Event::WorkerStarts(worker));
        }
        for _ in 0..self.rng.usize(2..10) {
            let at = self.rng.u64(0..TROUBLE.as_secs());
            let event = match self.rng.u8(0..12) {
                0 => Event::ClockJumps,
                1..=3 => Event::WorkerDies(self.rng.usize(0..self.workers.len())),
                10 => Event::Disk(Disk::Full),
                11 => Event::Disk(Disk::Slow),
                _ => Event::Person,
            };
            self.after(Duration::from_secs(at), event);
        }
        loop {
            if self.trouble && self.elapsed >= TROUBLE {
                self.calm_down().await?;
            }
            if self.elapsed > LIMIT {
                return Err(Violation(format!(
                    "it does not end:\n{}",
                    self.open_work().await?
                )));
            }
            if self.step().await? {
                return Ok(());
            }
        }
    }

    /// The next event and what follows from it; whether all is over.
    async fn step(&mut self) -> Result<bool, Violation> {
        let queued = self.queue.first_key_value().map(|((at, _), _)| *at);
        let deadline = self.server.as_ref().and_then(|server| {
            let deadline = server.dispatch.leases.next_deadline()?;
            Some(deadline.saturating_duration_since(self.began))
        });
        match (queued, deadline) {
            (queued, Some(deadline)) if queued.is_none_or(|queued| deadline <= queued) => {
                self.elapsed = self.elapsed.max(deadline);
                self.set_clock();
                self.stirred = true;
                self.tell("leases are looked at");
                self.on_server(async |server| {
                    dispatch::expiry::end_overdue(&server)
                        .await
                        .map_err(Violation::of)
                })
                .await?;
            }
            (Some(_), _) => {
                let Some(((at, _), event)) = self.queue.pop_first() else {
                    return Ok(false);
                };
                self.elapsed = self.elapsed.max(at);
                self.set_clock();
                self.handle(event).await?;
            }
            (None, None) => return Err(Violation("nothing happens any more".to_owned())),
            (None, Some(_)) => unreachable!("a deadline without an event before it is taken above"),
        }
        if !std::mem::take(&mut self.stirred) {
            return Ok(false);
        }
        // What is taken over makes more ready, without anybody asking once more.
        loop {
            let before = self.commits();
            self.hand_out().await?;
            if self.commits() == before {
                break;
            }
        }
        self.check().await?;
        if self.trouble || !self.is_over().await? {
            return Ok(false);
        }
        self.check_blame().await?;
        Ok(true)
    }

    pub fn set_clock(&self) {
        self.at(self.elapsed);
    }

    /// Sets the server's clocks to a time since the beginning.
    fn at(&self, elapsed: Duration) {
        clock::simulate(Some(Simulated {
            wall: BEGINNING + SignedDuration::try_from(elapsed).unwrap() + self.wall_offset,
            monotonic: self.began + elapsed,
        }));
    }

    /// The wall clock is set, by a machine or a person, to some time in the same two days.
    pub fn jump(&mut self) {
        self.wall_offset = SignedDuration::from_secs(self.rng.i64(-86_400..86_400));
        self.set_clock();
    }

    /// An event after a while.
    pub fn after(&mut self, wait: Duration, event: Event) {
        self.count += 1;
        self.queue.insert((self.elapsed + wait, self.count), event);
    }

    /// An event within a second or two.
    pub fn soon(&mut self, event: Event) {
        let wait = Duration::from_millis(self.rng.u64(1..2_000));
        self.after(wait, event);
    }

    /// Whether something goes wrong, of which so many in a thousand do.
    pub fn unlucky(&mut self, in_a_thousand: u32) -> bool {
        self.trouble && self.rng.u32(0..1_000) < in_a_thousand
    }

    /// Adds a line to the story.
    pub fn tell(&mut self, what: impl std::fmt::Display) {
        let _ = writeln!(self.story, "{:>10.3} {what}", self.elapsed.as_secs_f64());
    }

    /// Has the server do something; `None` where it is down, crashes in the middle, or has no room on its
    /// disk. On a slow one time passes at each step of it.
    pub async fn on_server<T>(
        &mut self,
        work: impl AsyncFnOnce(Server) -> Result<T, Violation>,
    ) -> Result<Option<T>, Violation> {
        let Some(server) = self.server.clone() else {
            return Ok(None);
        };
        if self.disk == Disk::Full {
            // A failure may have had the database opened anew.
            self.set_room().await?;
        }
        let patience = match self.unlucky(15) {
            true => self.rng.usize(1..60),
            false => usize::MAX,
        };
        let a_step = match self.disk {
            Disk::Slow => Duration::from_millis(self.rng.u64(1..3_000)),
            Disk::Fine | Disk::Full => Duration::ZERO,
        };
        let mut polls = 0;
        let mut elapsed = self.elapsed;
        let result = {
            let mut work = pin!(work(server));
            std::future::poll_fn(|context| {
                polls += 1;
                if polls > patience {
                    return Poll::Ready(None);
                }
                if !a_step.is_zero() {
                    elapsed += a_step;
                    self.at(elapsed);
                }
                work.as_mut().poll(context).map(Some)
            })
            .await
        };
        self.elapsed = elapsed;
        match result {
            Some(Err(violation)) if self.disk == Disk::Full && violation.is_for_want_of_room() => {
                self.tell("the server has no room");
                Ok(None)
            }
            Some(result) => result.map(Some),
            None => {
                self.crash().await;
                Ok(None)
            }
        }
    }

    /// The server is killed where it stands: what it had in memory is gone, and a transaction that was
    /// not committed never was.
    pub async fn crash(&mut self) {
        self.tell("the server is killed");
        // Whoever waited for an answer asks again.
        for worker in std::mem::take(&mut self.asking) {
            let life = self.workers[worker].life;
            self.soon(Event::Ask(worker, life));
        }
        if let Some(server) = self.server.take() {
            let db = server.db.clone();
            drop(server);
            db.close().await;
        }
        let wait = Duration::from_secs(self.rng.u64(1..40));
        self.after(wait, Event::ServerStarts);
    }

    pub async fn start_server(&mut self) -> Result<(), Violation> {
        self.tell("the server starts");
        let url = "http://simulated".to_owned();
        let server = buildbtw_server::open(self.config.clone(), url, CancellationToken::new())
            .await
            .map_err(Violation::of)?;
        self.server = Some(server.clone());
        self.looked_at = None;
        self.set_room().await?;
        dispatch::take_up_again(&server)
            .await
            .map_err(Violation::of)?;
        self.plan_interrupted().await?;
        self.soon(Event::Publish);
        Ok(())
    }
}

impl World {
    /// Something happens to the disk; what is not as it should be lasts for some minutes.
    pub async fn turn_disk(&mut self, disk: Disk) -> Result<(), Violation> {
        if disk != self.disk {
            self.tell(format_args!("the server's disk is {disk:?}"));
            if disk != Disk::Fine {
                let wait = Duration::from_secs(self.rng.u64(1..400));
                self.after(wait, Event::Disk(Disk::Fine));
            }
        }
        self.disk = disk;
        self.set_room().await?;
        match disk {
            // As the server's own look now and then does.
            Disk::Fine if self.server.is_some() => self.plan_interrupted().await,
            _ => Ok(()),
        }
    }

    /// Has the server's database feel how much room there is.
    async fn set_room(&self) -> Result<(), Violation> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let mut tx = server.db.write().await.map_err(Violation::of)?;
        faults::fill_disk(&mut tx, self.disk == Disk::Full)
            .await
            .map_err(Violation::of)
    }
}

/// The bytes of a database that nothing was stored in yet: making one takes longer than many a seed.
fn empty_database() -> &'static [u8] {
    static EMPTY: OnceLock<Vec<u8>> = OnceLock::new();
    EMPTY.get_or_init(|| {
        let made = std::thread::spawn(|| {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().to_owned();
            runtime.build().unwrap().block_on(async move {
                let db = Db::open(None, &path).await.unwrap();
                db.close().await;
            });
            std::fs::read(folder.path().join("buildbtw.db")).unwrap()
        });
        made.join().unwrap()
    })
}

impl Violation {
    /// Whether the server only says that it has no room for something.
    pub fn is_for_want_of_room(&self) -> bool {
        self.0.contains("disk is full")
    }

    pub fn of(error: impl std::fmt::Display) -> Self {
        Self(format!("the server fails: {error}"))
    }
}
