//! The order of versions, against the real vercmp.

use std::cmp::Ordering;
use std::process::Command;

use buildbtw_graph::vercmp;

use crate::number_of_cases;
use crate::numbers::Numbers;
use crate::pacman::{output, text};

const PARTS: [&str; 27] = [
    "0",
    "1",
    "2",
    "9",
    "10",
    "01",
    "00",
    "007",
    "a",
    "b",
    "rc",
    "alpha",
    "beta",
    "git",
    "Z",
    ".",
    ".",
    ".",
    "..",
    "_",
    "+",
    "~",
    "-",
    ":",
    "r",
    "é",
    "18446744073709551616",
];

fn version(numbers: &mut Numbers) -> String {
    let mut parts = numbers.some(5, |numbers| numbers.pick(&PARTS));
    parts.push(numbers.pick(&PARTS));
    let mut text = parts.concat();
    if numbers.chance(25) {
        text = format!("{}:{text}", numbers.below(3));
    }
    if numbers.chance(50) {
        text = format!("{text}-{}", 1 + numbers.below(2));
    }
    text
}

/// vercmp compares one pair a process, so a shell starts many.
fn real_answers(pairs: &[(String, String)]) -> Vec<Ordering> {
    let mut all = Vec::new();
    for pairs in pairs.chunks(500) {
        let script = "while (($#)); do vercmp \"$1\" \"$2\"; shift 2; done";
        let mut command = Command::new("bash");
        command.args(["-euc", script, "vercmp"]);
        let output = output(command.args(pairs.iter().flat_map(|(a, b)| [a, b])));
        let stderr = text(&output.stderr);
        assert!(
            output.status.success(),
            "vercmp failed (./bootstrap.sh installs it): {stderr}"
        );
        all.extend(text(&output.stdout).lines().map(|line| match line {
            "-1" => Ordering::Less,
            "0" => Ordering::Equal,
            "1" => Ordering::Greater,
            other => panic!("vercmp says {other:?}"),
        }));
    }
    all
}

#[test]
fn versions_are_ordered_the_same() {
    let numbers = &mut Numbers::new(1);
    let usable = |text: &String| !text.starts_with('-');
    let mut pairs = Vec::new();
    for _ in 0..number_of_cases(1500) {
        let one = version(numbers);
        // Versions that have nothing in common are ordered by their first part.
        let other = match numbers.below(3) {
            0 => version(numbers),
            1 => format!("{one}{}", numbers.pick(&PARTS)),
            _ => {
                let ends = one.char_indices().map(|(at, _)| at).chain([one.len()]);
                let ends: Vec<usize> = ends.collect();
                let (start, end) = one.split_at(ends[numbers.below(ends.len())]);
                format!("{start}{}{end}", numbers.pick(&PARTS))
            }
        };
        // vercmp would take it for an option.
        if usable(&one) && usable(&other) {
            pairs.push((one, other));
        }
    }
    let real = real_answers(&pairs);
    assert_eq!(real.len(), pairs.len());
    for ((one, other), real) in pairs.iter().zip(real) {
        assert_eq!(vercmp(one, other), real, "{one} {other}");
        assert_eq!(vercmp(other, one), real.reverse(), "{other} {one}");
    }
    println!("{} pairs", pairs.len());
}
