//! How soon the first byte of a page comes, and how large the page is.

use std::time::Instant;

use super::{Plan, World, at, figure};

/// How often each page is fetched.
const ROUNDS: usize = 15;

/// What the first byte may take, in milliseconds, and how large a page may be, in KiB.
const FIRST_BYTE: f64 = 100.0;
const SIZE: f64 = 200.0;

pub async fn measure(world: &World, plan: &Plan) {
    let client = reqwest::Client::new();
    let rounds = if plan.measure { ROUNDS } else { 1 };
    let build = |name: &str| format!("/namespaces/large/1/x86_64/{}/1", name.replace('+', "%2B"));
    let pages = [
        ("home", vec!["/".to_owned()]),
        (
            "namespace with its map and the map's names",
            vec![
                "/namespaces/large".to_owned(),
                "/namespaces/large/1/map.json".to_owned(),
            ],
        ),
        (
            "namespace as a page fetches it anew",
            vec!["/namespaces/large?fresh=true".to_owned()],
        ),
        ("build that everything needs", vec![build(&world.origin)]),
        ("build at the end", vec![build(&world.far)]),
    ];
    for (what, paths) in pages {
        let (mut times, mut size) = (Vec::new(), 0);
        for _ in 0..rounds {
            size = 0;
            for (number, path) in paths.iter().enumerate() {
                let start = Instant::now();
                let request = client
                    .get(world.url(path))
                    .header("accept-encoding", "gzip");
                let response = request.send().await.expect("the server answers");
                let first_byte = start.elapsed().as_secs_f64() * 1e3;
                assert!(
                    response.status().is_success(),
                    "{path}: {}",
                    response.status()
                );
                size += response.bytes().await.expect("it can be read").len();
                if number == 0 {
                    times.push(first_byte);
                }
            }
        }
        figure(
            &format!("{what}: first byte (median of {rounds})"),
            at(50, &mut times),
            FIRST_BYTE,
            "ms",
        );
        println!(
            "{what}: first byte at best {:.1} ms, at worst {:.1} ms",
            times[0],
            times[times.len() - 1]
        );
        figure(
            &format!("{what}: compressed"),
            size as f64 / 1024.0,
            SIZE,
            "KiB",
        );
    }
}
