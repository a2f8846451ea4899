//! Why a worker gets nothing now: a pure function of what is known of it.

use buildbtw_api::idle::IdleReason;
use buildbtw_api::modes::{ServerModeNote, WorkerModeNote};

use super::{Idle, Workplace};

/// All that is known of a worker.
#[derive(Debug, Clone)]
pub struct IdleFacts<'a> {
    /// The worker.
    pub worker: &'a Workplace,
    /// Whether it was heard of lately.
    pub heard_of: bool,
    /// Whether it is a runner of GitLab's.
    pub runner: bool,
    /// Its mode, with what was said.
    pub mode: &'a WorkerModeNote,
    /// The server's mode, with what was said.
    pub server: &'a ServerModeNote,
    /// Whether one of the builds that it may get waits for no run of an equal input; or why there is
    /// no such build.
    pub candidates: Result<bool, Idle>,
}

/// Says why a worker gets no run now.
pub fn why_idle(facts: IdleFacts<'_>) -> IdleReason {
    let worker = facts.worker;
    if facts.runner {
        return IdleReason::FromGitLab;
    }
    if !facts.heard_of {
        return IdleReason::NotHeardOf;
    }
    match facts.candidates {
        Err(Idle::Server(mode)) => IdleReason::ServerHandsOutNothing {
            mode,
            message: facts.server.note.reason.clone(),
        },
        Err(Idle::Worker(mode)) => IdleReason::NotActive {
            mode,
            message: facts.mode.note.reason.clone(),
        },
        // Who has no free slot does not ask.
        _ if worker.running >= worker.slots => IdleReason::SlotsTaken {
            slots: worker.slots,
        },
        Err(Idle::NothingReady) => IdleReason::NothingReady,
        Err(Idle::NothingFits(misfit)) => IdleReason::NothingFits {
            lacking: misfit.to_string(),
        },
        Err(Idle::LeftToOthers) => IdleReason::LeftToOthers,
        Err(Idle::LeftToFaster(left)) => IdleReason::LeftToFaster { worker: left.to },
        Ok(false) => IdleReason::WaitsForEqualInput,
        Ok(true) => IdleReason::NextInLine,
    }
}

#[cfg(test)]
mod tests {
    use buildbtw_api::modes::ModeNote;
    use buildbtw_api::{ServerMode, WorkerMode};

    use super::*;
    use crate::scheduler::{Left, Misfit};

    fn note(reason: &str) -> ModeNote {
        ModeNote {
            reason: Some(reason.to_owned()),
            ..ModeNote::default()
        }
    }

    fn why(candidates: Result<bool, Idle>, heard_of: bool, running: u32) -> IdleReason {
        let worker = Workplace {
            key: 1,
            name: "w".to_owned(),
            architectures: Vec::new(),
            slots: 2,
            running,
            memory: None,
            labels: Vec::new(),
            mode: WorkerMode::Active,
            place: buildbtw_api::BuildPlace::Workers,
            speed: crate::scheduler::Speed::default(),
            under_way: Vec::new(),
        };
        why_idle(IdleFacts {
            worker: &worker,
            heard_of,
            runner: false,
            mode: &WorkerModeNote {
                mode: WorkerMode::Paused,
                note: note("a new disk"),
            },
            server: &ServerModeNote {
                mode: ServerMode::Drain,
                note: note("an update"),
            },
            candidates,
        })
    }

    #[test]
    fn a_worker_that_is_not_there_gets_nothing_whatever_is_ready() {
        assert_eq!(why(Ok(true), false, 0), IdleReason::NotHeardOf);
    }

    #[test]
    fn modes_come_before_slots_and_say_why() {
        assert_eq!(
            why(Err(Idle::Server(ServerMode::Drain)), true, 2),
            IdleReason::ServerHandsOutNothing {
                mode: ServerMode::Drain,
                message: Some("an update".to_owned())
            }
        );
        assert_eq!(
            why(Err(Idle::Worker(WorkerMode::Paused)), true, 2),
            IdleReason::NotActive {
                mode: WorkerMode::Paused,
                message: Some("a new disk".to_owned())
            }
        );
    }

    #[test]
    fn a_full_worker_says_so_and_a_free_one_what_it_waits_for() {
        assert_eq!(why(Ok(true), true, 2), IdleReason::SlotsTaken { slots: 2 });
        let table = [
            (Err(Idle::NothingReady), IdleReason::NothingReady),
            (Err(Idle::LeftToOthers), IdleReason::LeftToOthers),
            (
                Err(Idle::LeftToFaster(Left {
                    to: "quick".to_owned(),
                    again_ms: 1_000,
                })),
                IdleReason::LeftToFaster {
                    worker: "quick".to_owned(),
                },
            ),
            (Ok(false), IdleReason::WaitsForEqualInput),
            (Ok(true), IdleReason::NextInLine),
            (
                Err(Idle::NothingFits(Misfit::Label("kvm".to_owned()))),
                IdleReason::NothingFits {
                    lacking: "it lacks the label kvm".to_owned(),
                },
            ),
        ];
        for (candidates, expected) in table {
            assert_eq!(why(candidates, true, 1), expected);
        }
    }
}
