//! What each event does.

use std::time::Duration;

use buildbtw_api::runs::Step;
use buildbtw_api::{OutcomeClass, ProblemType, RunId};
use buildbtw_server::clock;
use buildbtw_server::dispatch::{claim, publisher, reports, superseded};
use buildbtw_server::problems::HttpProblem;

use super::packages;
use super::worker::{Held, Stage};
use super::world::{Event, Violation, World};

/// How often a worker says that it lives.
const BEAT: Duration = Duration::from_secs(10);

/// After so long without an answer a worker sends again.
const AGAIN: Duration = Duration::from_secs(5);

/// How the server takes a report.
enum Answer {
    Taken,
    Stale,
}

impl World {
    pub async fn handle(&mut self, event: Event) -> Result<(), Violation> {
        self.stirred |= !matches!(event, Event::Beat(..) | Event::Send(..));
        match event {
            Event::ServerStarts => {
                if self.server.is_none() {
                    self.start_server().await?;
                }
            }
            Event::ClockJumps => {
                self.jump();
                self.tell("the wall clock jumps");
            }
            // Once all is well nobody calls off or drains any more: it has to come to an end.
            Event::Person if self.trouble => self.person().await?,
            Event::Person => {}
            Event::WorkerDies(number) => {
                let worker = &mut self.workers[number];
                worker.up = false;
                worker.life += 1;
                worker.held.clear();
                self.asking.remove(&number);
                self.tell(format_args!("w{number} is killed"));
                let wait = Duration::from_secs(self.rng.u64(1..200));
                self.after(wait, Event::WorkerStarts(number));
            }
            Event::WorkerStarts(number) => {
                let worker = &mut self.workers[number];
                worker.up = true;
                let life = worker.life;
                self.soon(Event::Register(number, life));
                self.after(BEAT, Event::Beat(number, life));
            }
            Event::Register(number, life) if self.lives(number, life) => {
                let registration = self.workers[number].registration();
                let known = self
                    .on_server(async |server| {
                        reports::register(&server, registration)
                            .await
                            .map_err(internal)
                    })
                    .await?;
                match known {
                    Some(registered) if !self.unlucky(50) => {
                        self.workers[number].id = Some(registered.id);
                        self.tell(format_args!("w{number} registered"));
                        self.soon(Event::Ask(number, life));
                    }
                    _ => self.after(AGAIN, Event::Register(number, life)),
                }
            }
            Event::Ask(number, life) if self.lives(number, life) => {
                if self.server.is_some() && !self.unlucky(50) {
                    self.asking.insert(number);
                } else {
                    self.after(AGAIN, Event::Ask(number, life));
                }
            }
            Event::Beat(number, life) if self.lives(number, life) => self.beat(number),
            Event::Send(number, life, run, stage) if self.lives(number, life) => {
                self.send(number, run, stage)
            }
            Event::Arrive(number, life, held, stage, ghost) => {
                self.arrive(number, life, *held, stage, ghost).await?
            }
            Event::Publish => {
                let published = self
                    .on_server(async |server| {
                        publisher::publish_waiting(&server)
                            .await
                            .map_err(Violation::of)
                    })
                    .await?;
                if published == Some(true) {
                    self.tell("packages are published");
                    self.soon(Event::Publish);
                }
                let called_off = self
                    .on_server(async |server| {
                        let called_off = superseded::call_off(&server).await;
                        called_off.map(drop).map_err(Violation::of)
                    })
                    .await?;
                // A server that failed at it, for want of room, tries again; one that starts does so by itself.
                let failed = published.is_none() || called_off.is_none();
                if failed && self.server.is_some() {
                    self.after(publisher::PAUSE, Event::Publish);
                }
            }
            Event::Nudge => {}
            // Once all is well it stays so.
            Event::Disk(disk) if self.trouble => self.turn_disk(disk).await?,
            Event::Disk(_) => {}
            // What an earlier life wanted.
            Event::Register(..) | Event::Ask(..) | Event::Beat(..) | Event::Send(..) => {}
        }
        Ok(())
    }

    fn lives(&self, number: usize, life: u32) -> bool {
        self.workers[number].up && self.workers[number].life == life
    }

    /// A heartbeat, and what the worker learns from the answer.
    fn beat(&mut self, number: usize) {
        let life = self.workers[number].life;
        // Now and then a worker is cut off for longer than a lease lasts.
        let wait = match self.unlucky(15) {
            true => Duration::from_secs(100),
            false => BEAT,
        };
        self.after(wait, Event::Beat(number, life));
        let lost = self.unlucky(100);
        let (Some(server), Some(id)) = (&self.server, self.workers[number].id) else {
            return;
        };
        if lost {
            return;
        }
        let stop = server
            .dispatch
            .leases
            .renew(id, &self.workers[number].beat(), clock::instant());
        for (run, reason) in stop {
            self.tell(format_args!("w{number} stops {run}: {reason}"));
            self.workers[number].held.remove(&run);
            self.soon(Event::Ask(number, life));
        }
    }

    /// A worker sends what is next, and once more if it gets no answer.
    fn send(&mut self, number: usize, run: RunId, stage: Stage) {
        let life = self.workers[number].life;
        let Some(held) = self.workers[number].held.get(&run).cloned() else {
            return;
        };
        let ghosts = usize::from(self.unlucky(50));
        for _ in 0..ghosts {
            let wait = Duration::from_secs(self.rng.u64(0..150));
            let held = Box::new(held.clone());
            self.after(wait, Event::Arrive(number, life, held, stage, true));
        }
        if self.unlucky(50) {
            self.after(AGAIN, Event::Send(number, life, run, stage));
            return;
        }
        let wait = match self.unlucky(50) {
            true => Duration::from_secs(self.rng.u64(0..120)),
            false => Duration::from_millis(self.rng.u64(1..500)),
        };
        self.after(
            wait,
            Event::Arrive(number, life, Box::new(held), stage, false),
        );
    }

    async fn arrive(
        &mut self,
        number: usize,
        life: u32,
        held: Held,
        stage: Stage,
        ghost: bool,
    ) -> Result<(), Violation> {
        let run = held.assignment.run;
        let before = self.is_open(run).await?;
        let class = held.class;
        let answer = self
            .on_server(async |server| report(&server, &held, stage).await)
            .await?;
        let lost = ghost || self.unlucky(50);
        if matches!(answer, Some(Answer::Taken)) {
            self.tell(format_args!("{stage:?} of {run} is taken ({class})"));
            // The end may come twice; nothing else may come after it.
            if !before && stage != Stage::Finish {
                return Err(Violation(format!(
                    "{stage:?} of {run} was taken after its end"
                )));
            }
            if stage == Stage::Finish {
                self.ended.insert(run);
            }
            self.soon(Event::Publish);
        }
        // A worker that never heard the answer must not be told that its work was for nothing.
        let stale = stage == Stage::Finish && matches!(answer, Some(Answer::Stale));
        if stale && self.ended.contains(&run) && !self.was_called_off(run).await? {
            return Err(Violation(format!(
                "the end of {run} was taken, and then refused"
            )));
        }
        if lost || !self.lives(number, life) || !self.workers[number].held.contains_key(&run) {
            if !ghost && self.lives(number, life) {
                self.after(AGAIN, Event::Send(number, life, run, stage));
            }
            return Ok(());
        }
        match answer {
            None => self.after(AGAIN, Event::Send(number, life, run, stage)),
            Some(Answer::Taken) if stage != Stage::Finish => {
                let wait = match stage {
                    Stage::Begin => Duration::from_secs(self.rng.u64(1..200)),
                    _ => Duration::from_secs(1),
                };
                self.after(wait, Event::Send(number, life, run, held.after(stage)));
            }
            Some(Answer::Taken | Answer::Stale) => {
                self.workers[number].held.remove(&run);
                self.soon(Event::Ask(number, life));
            }
        }
        Ok(())
    }

    /// Whoever asks gets a run, if there is one.
    pub async fn hand_out(&mut self) -> Result<(), Violation> {
        for number in self.asking.clone() {
            let worker = &self.workers[number];
            let (Some(id), life) = (worker.id, worker.life) else {
                continue;
            };
            if worker.held.len() >= worker.slots {
                self.asking.remove(&number);
                continue;
            }
            let given = self
                .on_server(async |server| {
                    server.dispatch.leases.note_seen(id, clock::instant());
                    claim::try_claim(&server, id).await.map_err(Violation::of)
                })
                .await?;
            let Some(assignment) = given.and_then(claim::Claim::given) else {
                continue;
            };
            let (run, build) = (assignment.run, &assignment.build);
            self.tell(format_args!(
                "w{number} gets {} of {} {} as {run}",
                build.pkgbase, assignment.namespace, assignment.iteration
            ));
            self.asking.remove(&number);
            self.soon(Event::Ask(number, life));
            if self.unlucky(50) {
                self.tell("but never hears of it");
                continue;
            }
            let class = match self.workers[number].corrupt {
                true => OutcomeClass::Package,
                false => self.class(),
            };
            self.workers[number]
                .held
                .insert(run, Held { assignment, class });
            self.soon(Event::Send(number, life, run, Stage::Begin));
        }
        Ok(())
    }

    /// How a run will end.
    fn class(&mut self) -> OutcomeClass {
        match self.rng.u8(0..100) {
            0..80 => OutcomeClass::Success,
            _ if !self.trouble => OutcomeClass::Success,
            80..88 => OutcomeClass::Package,
            88..95 => OutcomeClass::Infrastructure,
            95..97 => OutcomeClass::Timeout,
            97 => OutcomeClass::Sources,
            98 => OutcomeClass::Cancelled,
            _ => OutcomeClass::Dependencies,
        }
    }
}

async fn report(
    server: &buildbtw_server::Server,
    held: &Held,
    stage: Stage,
) -> Result<Answer, Violation> {
    let (run, fence) = (held.assignment.run, held.assignment.fence);
    let result = match stage {
        Stage::Begin => {
            let step = Step {
                name: "build".to_owned(),
                started_ms: 0,
                ended_ms: None,
                succeeded: None,
            };
            reports::report_steps(server, run, fence, &[step]).await
        }
        Stage::Upload(number) => {
            let package = &packages::made(&held.assignment)[number];
            reports::add_package(server, run, fence, &package.file_name, package).await
        }
        Stage::Finish => reports::finish(server, run, held.end()).await,
    };
    match result {
        Ok(()) => Ok(Answer::Taken),
        Err(problem) if problem.problem.kind == ProblemType::StaleFence => Ok(Answer::Stale),
        Err(problem) => Err(internal(problem)),
    }
}

fn internal(problem: HttpProblem) -> Violation {
    Violation::of(problem.problem)
}
