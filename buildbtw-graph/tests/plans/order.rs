//! Sets, their order, and what breaking a cycle costs.

use buildbtw_graph::{BuildSet, Edge, PkgrelMode, PlanOptions, Scope};

use crate::{build, diamond, dropped, options, order, plan_of, released, source, waves, x86_64};

#[test]
fn a_diamond_keeps_all_its_sides() {
    // a before b and c, and b before c: a walk that marks c as seen when it
    // comes from a must not forget that it also comes from b.
    let sources = diamond();
    let made = plan_of(&sources, &[], &sources[..1], &options());
    let set = x86_64(&made);
    assert_eq!(waves(set), ["a:1", "b:2", "c:3"]);
    // a>c is implied by the other two.
    assert_eq!(order(set), ["a>b", "b>c"]);
    let path: Vec<&str> = set
        .critical_path
        .iter()
        .map(|key| key.pkgbase.as_str())
        .collect();
    assert_eq!(path, ["a", "b", "c"]);
    assert_eq!(set.waves, 3);
}

#[test]
fn the_pkgrel_goes_up_where_that_version_is_released() {
    let sources = diamond();
    let changed = source("a 2-1", &[]);
    let made = plan_of(&sources, &[], std::slice::from_ref(&changed), &options());
    let set = x86_64(&made);
    assert_eq!(build(set, "a").pkgrel, None);
    assert_eq!(build(set, "a").version.as_str(), "2-1");
    assert_eq!(build(set, "b").pkgrel.as_deref(), Some("2"));
    assert_eq!(build(set, "b").version.as_str(), "1-2");
    let keep = PlanOptions {
        pkgrel: PkgrelMode::Keep,
        ..options()
    };
    let made = plan_of(&sources, &[], &[changed], &keep);
    assert_eq!(build(x86_64(&made), "b").pkgrel, None);
}

#[test]
fn needs_lead_through_packages_outside_the_set() {
    let sources = diamond();
    let changes = [sources[0].clone(), sources[2].clone()];
    let none = PlanOptions {
        scope: Scope::None,
        ..options()
    };
    let made = plan_of(&sources[1..], &released(&sources[1]), &changes, &none);
    let set = x86_64(&made);
    assert_eq!(waves(set), ["a:1", "c:2"]);
    // By itself, or through b, which stays as it is released.
    let edge = &set.edges[0];
    assert_eq!(edge.through.len(), 1);
    let sources = [
        source("a 1-1", &[]),
        source("b 1-1", &["depends = a"]),
        source("d 1-1", &["depends = b"]),
    ];
    let changes = [sources[0].clone(), sources[2].clone()];
    let made = plan_of(&sources, &released(&sources[1]), &changes, &none);
    let edge = &x86_64(&made).edges[0];
    let through: Vec<&str> = edge.through.iter().map(|name| name.as_str()).collect();
    assert_eq!(
        (edge.relation.as_str(), &through[..]),
        ("b", &["b", "a"][..])
    );
}

#[test]
fn only_the_packages_that_depend_carry_on() {
    let sources = [
        source("lib 1-1", &[]),
        source(
            "split 1-1",
            &["[tool]", "depends = lib", "[data]", "depends = "],
        ),
        source("uses-data 1-1", &["depends = data"]),
        source("uses-tool 1-1", &["depends = tool"]),
    ];
    let made = plan_of(&sources, &[], &sources[..1], &options());
    assert_eq!(waves(x86_64(&made)), ["lib:1", "split:1", "uses-tool:2"]);
    // split waits for nobody: only its package needs lib, its build does not.
}

#[test]
fn what_installs_a_package_waits_for_what_that_package_needs() {
    let sources = [
        source("lib 1-1", &[]),
        source("split 1-1", &["[tool]", "depends = lib"]),
        source("user 1-1", &["depends = tool"]),
    ];
    let made = plan_of(&sources, &[], &sources[..1], &options());
    assert_eq!(order(x86_64(&made)), ["lib>user", "split>user"]);
}

#[test]
fn a_cycle_costs_the_weakest_pair() {
    let sources = [
        source("lib 1-1", &["makedepends = tool"]),
        source("tool 1-1", &["depends = lib"]),
    ];
    let made = plan_of(&sources, &[], &sources[..1], &options());
    let set = x86_64(&made);
    assert_eq!(order(set), ["lib>tool"]);
    assert_eq!(dropped(set), ["tool>lib"]);
    assert!(
        set.builds
            .iter()
            .all(|build| build.unbuildable.is_none() && !build.nocheck)
    );
}

#[test]
fn a_check_is_skipped_rather_than_a_need_dropped() {
    let sources = [
        source("lib 1-1", &["checkdepends = tool"]),
        source("tool 1-1", &["depends = lib"]),
    ];
    let twice = PlanOptions {
        passes: 2,
        ..options()
    };
    let made = plan_of(&sources, &[], &sources[..1], &twice);
    let set = x86_64(&made);
    let found: Vec<(String, u8, bool, String)> = set
        .builds
        .iter()
        .map(|b| {
            (
                b.pkgbase.to_string(),
                b.pass,
                b.nocheck,
                b.version.to_string(),
            )
        })
        .collect();
    let expected = [
        ("lib", 1, true, "1-1.1"),
        ("lib", 2, false, "1-2"),
        ("tool", 1, false, "1-2"),
    ];
    let expected =
        expected.map(|(n, pass, nocheck, v)| (n.to_owned(), pass, nocheck, v.to_owned()));
    assert_eq!(found, expected);
    assert_eq!(build(set, "lib").install, [""; 0]);
    assert_eq!(set.builds[1].install, ["tool"]);
}

/// The undropped pairs with their passes, and the chains that they stand for.
fn passes(set: &BuildSet) -> Vec<String> {
    let kept = set.edges.iter().filter(|edge| !edge.dropped);
    let pair = |edge: &Edge| {
        let (before, after) = (&edge.before, &edge.after);
        let through: Vec<&str> = edge.through.iter().map(|name| name.as_str()).collect();
        format!(
            "{}:{}>{}:{} by {}: {}",
            before.pkgbase,
            before.pass,
            after.pkgbase,
            after.pass,
            edge.relation,
            through.join(" ")
        )
    };
    kept.map(pair).collect()
}

#[test]
fn a_second_pass_waits_for_whoever_must_find_the_first() {
    // lib gives up tool, and tool gives up plugin. plugin installs lib by way
    // of tool: it must not be left to chance whether that is lib's first pass
    // or its second.
    let sources = [
        source("lib 1-1", &["makedepends = tool"]),
        source("tool 1-1", &["depends = lib", "makedepends = plugin"]),
        source("plugin 1-1", &["depends = tool"]),
    ];
    let twice = PlanOptions {
        passes: 2,
        ..options()
    };
    let made = plan_of(&sources, &[], &sources[..1], &twice);
    let set = x86_64(&made);
    assert_eq!(dropped(set), ["tool>lib", "plugin>tool"]);
    let expected = [
        // Not a need of lib's: how plugin installs lib.
        "plugin:1>lib:2 by tool: tool lib",
        "tool:1>plugin:1 by tool: tool",
        "lib:1>tool:1 by lib: lib",
        "lib:2>tool:2 by lib: lib",
    ];
    assert_eq!(passes(set), expected);
}

#[test]
fn a_second_pass_waits_for_another_that_must_find_the_first() {
    // lib gives up tool, so its second pass waits for tool's first one. tool
    // is built twice too, and needs lib only by way of others: nothing else
    // says that its second pass does not come before that of lib.
    let sources = [
        source("lib 1-1", &["makedepends = tool"]),
        source("gen1 1-1", &["makedepends = lib"]),
        source("gen2 1-1", &["makedepends = lib"]),
        source(
            "tool 1-1",
            &[
                "makedepends = gen1",
                "makedepends = gen2",
                "makedepends = plugin",
            ],
        ),
        source("plugin 1-1", &["depends = tool"]),
    ];
    let twice = PlanOptions {
        passes: 2,
        ..options()
    };
    let made = plan_of(&sources, &[], &sources, &twice);
    let set = x86_64(&made);
    assert_eq!(dropped(set), ["tool>lib", "plugin>tool"]);
    let expected = [
        "lib:1>gen1:1 by lib: lib",
        "lib:1>gen2:1 by lib: lib",
        "tool:1>lib:2 by tool: tool",
        "tool:1>plugin:1 by tool: tool",
        "gen1:1>tool:1 by gen1: gen1",
        "gen2:1>tool:1 by gen2: gen2",
        // How lib installs tool.
        "lib:2>tool:2 by tool: tool",
        "plugin:1>tool:2 by plugin: plugin",
    ];
    assert_eq!(passes(set), expected);
}

#[test]
fn a_choice_between_providers_is_shown_and_both_are_waited_for() {
    let sources = [
        source("base 1-1", &[]),
        source("jack 1-1", &["depends = base", "provides = libjack.so"]),
        source(
            "pipewire-jack 1-1",
            &["depends = base", "provides = libjack.so"],
        ),
        source("player 1-1", &["depends = libjack.so"]),
    ];
    let made = plan_of(&sources, &[], &sources[..1], &options());
    let set = x86_64(&made);
    assert_eq!(set.ambiguous.len(), 1);
    assert_eq!(set.ambiguous[0].chosen.as_str(), "jack");
    let waits: Vec<String> = order(set)
        .into_iter()
        .filter(|pair| pair.ends_with(">player"))
        .collect();
    assert_eq!(waits, ["jack>player", "pipewire-jack>player"]);
}
