//! What changed from one plan to another.

use buildbtw_graph::{Architecture, Commits, Difference, Plan, difference};

use super::{build, diamond, options, plan_of, source, x86_64};

fn commits(plan: &Plan, moved: &str) -> Commits {
    let on: Architecture = "x86_64".parse().unwrap();
    let commit = |name: &str| if name == moved { "2222" } else { "1111" };
    x86_64(plan)
        .builds
        .iter()
        .map(|build| {
            let key = (on.clone(), build.pkgbase.clone());
            (key, commit(build.pkgbase.as_str()).to_owned())
        })
        .collect()
}

fn between(before: &Plan, after: &Plan, moved: &str) -> Difference {
    difference(
        (before, &commits(before, "")),
        (after, &commits(after, moved)),
    )
}

#[test]
fn equal_plans_do_not_differ() {
    let sources = diamond();
    let plan = plan_of(&sources, &[], &sources[..1], &options());
    assert!(between(&plan, &plan, "").is_empty());
}

#[test]
fn builds_come_go_and_change() {
    let mut sources = diamond();
    let before = plan_of(&sources, &[], &sources[..1], &options());
    sources[0] = source("a 2-1", &[]);
    sources[2] = source("d 1-1", &["depends = a"]);
    let after = plan_of(&sources, &[], &sources[..1], &options());
    let difference = between(&before, &after, "a");
    let set = difference.architectures.values().next().unwrap();
    assert_eq!(set.added, [build(x86_64(&after), "d").key()]);
    assert_eq!(set.removed, [build(x86_64(&before), "c").key()]);
    let [changed] = &set.changed[..] else {
        panic!("{:?}", set.changed)
    };
    assert_eq!(changed.build.pkgbase.as_str(), "a");
    assert_eq!(changed.commit, Some(("1111".to_owned(), "2222".to_owned())));
    let (from, to) = changed.version.as_ref().unwrap();
    assert_eq!((from.as_str(), to.as_str()), ("1-2", "2-2"));
    assert_eq!(set.order, []);
}

#[test]
fn only_what_nothing_else_implies_counts_as_another_order() {
    let before = vec![
        source("a 1-1", &[]),
        source("b 1-1", &["depends = a"]),
        source("c 1-1", &["depends = b"]),
    ];
    // c's own need of a was implied before; that b does not wait any more is new.
    let after = vec![
        source("a 1-1", &[]),
        source("b 1-1", &["optdepends = a"]),
        source("c 1-1", &["depends = a", "depends = b"]),
    ];
    let all = |sources: &[_]| plan_of(sources, &[], sources, &options());
    let difference = between(&all(&before), &all(&after), "");
    let set = difference.architectures.values().next().unwrap();
    let [order] = &set.order[..] else {
        panic!("{:?}", set.order)
    };
    assert_eq!(order.build.pkgbase.as_str(), "b");
    assert!(order.now_after.is_empty());
    assert_eq!(order.no_longer_after[0].pkgbase.as_str(), "a");
}
