//! Workers as the server sees them: they ask for runs, say that they live, carry runs out step by
//! step, and send each report again until it is answered.

use std::collections::BTreeMap;

use buildbtw_api::runs::{Assignment, FinishReport, InstalledPackage};
use buildbtw_api::workers::{HeldRun, RegisterWorker, WorkerOffer};
use buildbtw_api::{OutcomeClass, RunId, WORKER_PROTOCOL, WorkerId};
use fastrand::Rng;

use super::packages;

/// What a worker sends next of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// That it began.
    Begin,
    /// The package of that number.
    Upload(usize),
    /// How it ended.
    Finish,
}

/// A run that a worker carries out.
#[derive(Debug, Clone)]
pub struct Held {
    pub assignment: Assignment,
    pub class: OutcomeClass,
}

/// A worker.
#[derive(Debug)]
pub struct Worker {
    pub name: String,
    pub id: Option<WorkerId>,
    pub slots: usize,
    /// Whether its program runs.
    pub up: bool,
    /// How often its program was started. What an earlier one wanted to do, nobody does any more.
    pub life: u32,
    pub held: BTreeMap<RunId, Held>,
}

impl Worker {
    pub fn new(number: usize, rng: &mut Rng) -> Self {
        Self {
            name: format!("w{number}"),
            id: None,
            slots: rng.usize(1..3),
            up: true,
            life: 1,
            held: BTreeMap::new(),
        }
    }

    pub fn registration(&self) -> RegisterWorker {
        RegisterWorker {
            id: self.id,
            name: self.name.clone(),
            protocol: WORKER_PROTOCOL,
            offer: WorkerOffer {
                architectures: vec!["x86_64".parse().unwrap()],
                slots: u32::try_from(self.slots).unwrap(),
                memory: None,
                labels: Vec::new(),
                builder: "simulated".to_owned(),
                configuration: String::new(),
                root_modes: Vec::new(),
            },
            running: Vec::new(),
        }
    }

    /// The runs that it names in a heartbeat.
    pub fn beat(&self) -> Vec<HeldRun> {
        let held = self.held.iter();
        held.map(|(run, held)| HeldRun {
            run: *run,
            fence: held.assignment.fence,
        })
        .collect()
    }
}

impl Held {
    /// What is sent after a stage.
    pub fn after(&self, stage: Stage) -> Stage {
        let next = match stage {
            Stage::Begin => 0,
            Stage::Upload(number) => number + 1,
            Stage::Finish => return Stage::Finish,
        };
        let uploads = self.class == OutcomeClass::Success;
        if uploads && next < self.assignment.build.pkgnames.len() {
            Stage::Upload(next)
        } else {
            Stage::Finish
        }
    }

    /// The report of the end.
    pub fn end(&self) -> FinishReport {
        let build = &self.assignment.build;
        let made = packages::made(&self.assignment).into_iter();
        FinishReport {
            fence: self.assignment.fence,
            class: self.class,
            message: format!("the simulation says {}", self.class),
            exit_code: None,
            failed_step: None,
            steps: Vec::new(),
            installed: build
                .expected
                .iter()
                .map(|package| InstalledPackage {
                    pkgname: package.pkgname.to_string(),
                    version: package.version.to_string(),
                })
                .collect(),
            packages: made.map(|package| package.file_name).collect(),
        }
    }
}
