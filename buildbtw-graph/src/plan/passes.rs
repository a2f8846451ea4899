//! Second passes: who is built twice, and which pass waits for which.
//!
//! A second pass publishes its packages over those of the first. What a build
//! finds would depend on who is faster if nothing said which of the two it
//! installs, so of every pair of a build and a member that it installs and that
//! is built twice, one of these holds:
//!
//! - the build waits for the second pass;
//! - it waits for the first pass, and the second one waits for it;
//! - the first pass waits for it: it gave the member up.

use super::bits::Bits;
use super::cycles::Acyclic;
use super::needs::Needs;
use super::options::PlanOptions;

/// One build of one pass.
#[derive(Clone, Copy)]
pub(super) struct Task {
    pub member: u32,
    pub pass: u8,
}

/// All builds of a set.
pub(super) struct Passes {
    /// The members' first passes, by number, then the second ones.
    pub tasks: Vec<Task>,
    /// The number of each member's second task.
    second: Vec<Option<u32>>,
}

impl Passes {
    /// Who gave something up is built a second time, if that is wanted.
    pub fn new(options: &PlanOptions, acyclic: &Acyclic) -> Self {
        let mut affected = vec![false; acyclic.nocheck.len()];
        if options.passes > 1 {
            affected.clone_from(&acyclic.nocheck);
            for dropped in &acyclic.dropped {
                affected[dropped.build as usize] = true;
            }
        }
        let members = affected.len() as u32;
        let mut tasks: Vec<Task> = (0..members)
            .map(|member| Task { member, pass: 1 })
            .collect();
        let mut second = vec![None; affected.len()];
        for member in (0..members).filter(|&member| affected[member as usize]) {
            second[member as usize] = Some(tasks.len() as u32);
            tasks.push(Task { member, pass: 2 });
        }
        Passes { tasks, second }
    }

    /// What each task waits for. Outside a cycle that is the second pass of
    /// what is built twice. Inside it first passes come first; a second pass
    /// takes the second ones of what stands before it in their order, and the
    /// first ones of what stands behind it.
    pub fn rows(&self, acyclic: &Acyclic, needs: &[Needs]) -> Vec<Bits> {
        let members = needs.len();
        let mut place = vec![0; members];
        for (at, &member) in acyclic.line.iter().enumerate() {
            place[member as usize] = at;
        }
        let mut rows = vec![Bits::new(self.tasks.len()); self.tasks.len()];
        for member in 0..members {
            let outside = |other: usize| acyclic.part[other] != acyclic.part[member];
            for other in acyclic.waits_for[member].iter() {
                match self.second[other] {
                    Some(last) if outside(other) => rows[member].insert(last as usize),
                    Some(last) => {
                        rows[member].insert(other);
                        rows[last as usize].insert(member);
                    }
                    None => rows[member].insert(other),
                }
            }
            let Some(again) = self.second[member].map(|task| task as usize) else {
                continue;
            };
            for other in needs[member].all.iter() {
                match self.second[other] {
                    Some(last) if outside(other) || place[other] < place[member] => {
                        rows[again].insert(last as usize);
                    }
                    Some(last) => {
                        rows[again].insert(other);
                        rows[last as usize].insert(again);
                    }
                    None => rows[again].insert(other),
                }
            }
        }
        rows
    }
}
