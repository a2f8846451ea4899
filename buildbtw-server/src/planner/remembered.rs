//! The last large plan, for whoever asks the same again.
//!
//! A packager looks at what would be rebuilt before it is begun, and beginning it asks twice more:
//! whether a plan can be made, and for the plan itself. A plan of a whole distribution takes a second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use buildbtw_graph::{
    Architecture, Plan, PlanInput, PlanOptions, ReleasedIndex, SourceIndex, SourcePackage,
};

/// Plans of fewer builds are made anew: that takes milliseconds.
const LARGE: usize = 500;

/// The last large plan, with all that it follows from.
#[derive(Default)]
pub struct Remembered(Mutex<Option<Entry>>);

struct Entry {
    sources: SourceIndex,
    released: BTreeMap<Architecture, Arc<ReleasedIndex>>,
    changes: Vec<SourcePackage>,
    options: PlanOptions,
    plan: Arc<Plan>,
}

impl Entry {
    /// Whether its plan is the one for an input. Equal input gives an equal plan.
    fn is_for(&self, input: &PlanInput<'_>) -> bool {
        self.sources.is(input.sources)
            && self.options == *input.options
            && self.changes == input.changes
            && self.released.len() == input.released.len()
            && self
                .released
                .iter()
                .zip(input.released)
                .all(|(one, other)| one.0 == other.0 && Arc::ptr_eq(one.1, other.1))
    }
}

impl Remembered {
    /// The plan for an input, if it was the last.
    pub fn get(&self, input: &PlanInput<'_>) -> Option<Arc<Plan>> {
        // A panic elsewhere leaves it whole: it is replaced in one go.
        let entry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entry.as_ref().filter(|entry| entry.is_for(input))?;
        Some(Arc::clone(&entry.plan))
    }

    /// Remembers a plan, in the place of the one before, if it is large.
    pub fn put(&self, input: &PlanInput<'_>, plan: &Plan) {
        let builds: usize = plan
            .architectures
            .values()
            .map(|set| set.builds.len())
            .sum();
        if builds < LARGE {
            return;
        }
        let entry = Entry {
            sources: input.sources.clone(),
            released: input.released.clone(),
            changes: input.changes.to_vec(),
            options: input.options.clone(),
            plan: Arc::new(plan.clone()),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
    }
}

#[cfg(test)]
mod tests {
    use buildbtw_graph::{proved_plan, read_srcinfo};

    use super::*;

    fn source(name: &str, version: &str, depends: &str) -> SourcePackage {
        let text = format!(
            "pkgbase = {name}\npkgver = {version}\npkgrel = 1\narch = x86_64\n{depends}pkgname = {name}\n"
        );
        read_srcinfo(&text).unwrap().package
    }

    fn distribution(dependents: usize) -> SourceIndex {
        let names = (0..dependents).map(|number| format!("p{number}"));
        let sources = names.map(|name| source(&name, "1", "depends = lib\n"));
        sources.chain([source("lib", "1", "")]).collect()
    }

    #[test]
    fn the_last_large_plan_serves_whoever_asks_the_same() {
        let sources = distribution(LARGE);
        let changes = [source("lib", "2", "")];
        let released = BTreeMap::new();
        let options = PlanOptions::default();
        let input = PlanInput {
            sources: &sources,
            released: &released,
            changes: &changes,
            options: &options,
        };
        let remembered = Remembered::default();
        assert!(remembered.get(&input).is_none());
        let plan = proved_plan(&input).unwrap();
        remembered.put(&input, &plan);
        assert_eq!(remembered.get(&input).as_deref(), Some(&plan));

        let others = [source("lib", "3", "")];
        let other = PlanInput {
            changes: &others,
            ..input
        };
        assert!(remembered.get(&other).is_none(), "another change");
        let options = PlanOptions {
            bootstrap: true,
            ..PlanOptions::default()
        };
        let other = PlanInput {
            options: &options,
            ..input
        };
        assert!(remembered.get(&other).is_none(), "other options");
        let mut moved = sources.clone();
        moved.insert(source("p3", "2", "depends = lib\n"));
        let other = PlanInput {
            sources: &moved,
            ..input
        };
        assert!(remembered.get(&other).is_none(), "another source");
        let on: Architecture = "x86_64".parse().unwrap();
        let released = BTreeMap::from([(on, Arc::new(ReleasedIndex::default()))]);
        let other = PlanInput {
            released: &released,
            ..input
        };
        assert!(remembered.get(&other).is_none(), "other base repositories");
    }

    #[test]
    fn a_small_plan_is_not_worth_it() {
        let sources = distribution(2);
        let changes = [source("lib", "2", "")];
        let (released, options) = (BTreeMap::new(), PlanOptions::default());
        let input = PlanInput {
            sources: &sources,
            released: &released,
            changes: &changes,
            options: &options,
        };
        let remembered = Remembered::default();
        remembered.put(&input, &proved_plan(&input).unwrap());
        assert!(remembered.get(&input).is_none());
    }
}
