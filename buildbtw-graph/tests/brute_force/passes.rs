//! What second passes must hold to.

use std::collections::{BTreeMap, BTreeSet};

use crate::Case;

/// A build's name and pass.
type Key = (String, u8);

pub fn check_second_passes(case: &Case, order: &BTreeMap<Key, BTreeSet<Key>>) {
    for build in case.first_passes() {
        let name = build.pkgbase.to_string();
        let affected = build.nocheck
            || case
                .dropped()
                .any(|edge| edge.after.pkgbase == build.pkgbase);
        let second = case
            .set
            .builds
            .iter()
            .find(|b| b.pass == 2 && b.pkgbase == build.pkgbase);
        assert_eq!(second.is_some(), affected, "{name} is built twice");
        let Some(second) = second else { continue };
        assert!(!second.nocheck);
        let waits = &order[&(name.clone(), 2)];
        assert!(
            waits.contains(&(name.clone(), 1)),
            "{name} is built a second time first"
        );
        for need in case.installs[&name].members.keys() {
            let either = waits.contains(&(need.clone(), 1)) || waits.contains(&(need.clone(), 2));
            assert!(either, "the second {name} does not wait for {need}");
        }
        let (first, last) = (build.version.as_str(), second.version.as_str());
        assert_eq!(
            buildbtw_graph::vercmp(first, last),
            std::cmp::Ordering::Less
        );
    }
    check_that_speed_decides_nothing(case, order);
}

/// Every build finds the same pass of whatever it installs, or what is released
/// of it, no matter which builds are faster.
fn check_that_speed_decides_nothing(case: &Case, order: &BTreeMap<Key, BTreeSet<Key>>) {
    for build in &case.set.builds {
        let name = build.pkgbase.to_string();
        let installs = &case.installs[&name];
        let this = (name, build.pass);
        let checked = |need: &&String| !(build.nocheck && installs.only_check.contains(*need));
        for need in installs.members.keys().filter(checked) {
            let (first, second) = ((need.clone(), 1), (need.clone(), 2));
            let released = order[&first].contains(&this);
            let of_first = order[&this].contains(&first)
                && order.get(&second).is_none_or(|waits| waits.contains(&this));
            let of_second = order[&this].contains(&second);
            assert!(
                released || of_first || of_second,
                "which {need} {this:?} finds depends on who is faster"
            );
        }
    }
}
