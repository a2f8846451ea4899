//! The JSON form of a plan, which other programs read.

use buildbtw_graph::{Plan, PlanOptions};
use serde_json::json;

use crate::{options, plan_of, released, source};

fn small_plan() -> Plan {
    let sources = [
        source(
            "lib 1-1",
            &[
                "provides = libx.so",
                "checkdepends = app",
                "makedepends = gone",
            ],
        ),
        source("app 1-1", &["depends = libx.so"]),
    ];
    let changed = source("lib 2-1", &["provides = libx.so", "checkdepends = app"]);
    let base: Vec<_> = sources.iter().flat_map(released).collect();
    plan_of(&sources, &base, &[changed], &options())
}

#[test]
fn a_plan_looks_as_documented() {
    let expected = json!({
        "architectures": { "x86_64": {
            "builds": [
                {
                    "pkgbase": "app", "pass": 1, "version": "1-2", "pkgrel": "2", "wave": 2,
                    "nocheck": false, "pkgnames": ["app"], "refers_to": null,
                    "because": {
                        "of": "lib", "pkgname": "app", "relation": "libx.so", "world": "sources"
                    },
                    "unbuildable": null, "install": ["libx.so"], "assumed": [],
                },
                {
                    "pkgbase": "lib", "pass": 1, "version": "2-1", "pkgrel": null, "wave": 1,
                    "nocheck": true, "pkgnames": ["lib"], "refers_to": null,
                    "because": "changed", "unbuildable": null, "install": [], "assumed": [],
                },
            ],
            "edges": [
                {
                    "before": { "pkgbase": "lib", "pass": 1 },
                    "after": { "pkgbase": "app", "pass": 1 },
                    "kind": "depends", "relation": "libx.so", "through": ["lib"],
                    "dropped": false,
                },
                {
                    "before": { "pkgbase": "app", "pass": 1 },
                    "after": { "pkgbase": "lib", "pass": 1 },
                    "kind": "checkdepends", "relation": "app", "through": ["app"],
                    "dropped": true,
                },
            ],
            "broken": [], "unresolved": [], "ambiguous": [], "risks": [],
            "critical_path": [
                { "pkgbase": "lib", "pass": 1 }, { "pkgbase": "app", "pass": 1 },
            ],
            "waves": 2,
        } },
        "warnings": [],
    });
    // The check would install lib's own released package, but it is skipped.
    let found = serde_json::to_value(small_plan()).unwrap();
    assert_eq!(found, expected);
}

#[test]
fn a_plan_and_its_options_come_back_from_json() {
    let made = small_plan();
    let text = serde_json::to_string(&made).unwrap();
    assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), made);
    let text = serde_json::to_string(&PlanOptions::default()).unwrap();
    let read: PlanOptions = serde_json::from_str(&text).unwrap();
    assert_eq!(read, PlanOptions::default());
    // What is left out has its default.
    let read: PlanOptions = serde_json::from_str("{\"scope\":\"direct\"}").unwrap();
    assert_eq!(read.passes, 1);
    let bad = text.replace("x86_64", "x86/64");
    assert!(serde_json::from_str::<PlanOptions>(&bad).is_err());
}
