//! A log of a hundred megabytes, while it is written and once it is packed: its pages, its first error, a
//! text that is not in it, and all of it as it is.

use std::time::{Duration, Instant};

use super::{Plan, World, at, figure};
use crate::readers::{give_back, register};

/// Bytes of the log, and of one part of it.
const LENGTH: usize = 100 << 20;
const PART: usize = 4 << 20;

/// What a page of it may take, in milliseconds, and what looking through all of it may.
const PAGE: f64 = 100.0;
const SEARCH: f64 = 2_000.0;

/// How often each page is fetched.
const ROUNDS: usize = 7;

pub async fn measure(world: &mut World, plan: &Plan) {
    let length = if plan.measure { LENGTH } else { 8 << 20 };
    let client = world.worker_client();
    let worker = register(&client, "writes").await;
    let run = loop {
        if let Some(run) = client.claim(worker).await.expect("the server answers") {
            break run;
        }
    };
    let line = "cc -O2 -Wall -c -o objects/part-of-a-large-program.o part-of-a-large-program.c\n";
    let part = line.repeat(PART / line.len());
    let mut offset = 0;
    while offset < length {
        let mut bytes = part.clone().into_bytes();
        if offset + PART >= length {
            bytes.extend_from_slice(b"part.c:3:5: error: expected ';'\n");
        }
        let count = bytes.len();
        let sent = client.append_log(run.run, run.fence, offset as u64, bytes.into());
        sent.await.expect("the log is taken");
        offset += count;
    }
    let page = format!("/runs/{}/log", run.run);
    fetch(world, "being written", &page, offset).await;
    give_back(&client, &run).await;
    // It is packed in the background, and only then smaller.
    let packed = world.stage.data().join(format!("logs/{}.zst", run.run));
    while !packed.exists() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    fetch(world, "packed", &page, offset).await;
    let memory = world.stage.server().memory();
    println!(
        "log: the server's memory {} MiB, at most {} MiB",
        memory.resident >> 20,
        memory.peak >> 20
    );
}

async fn fetch(world: &World, state: &str, page: &str, length: usize) {
    let pages = [
        ("its end", String::new(), PAGE),
        ("a part in the middle", "?from=500000".to_owned(), PAGE),
        (
            "first error, in its last line",
            "/first-error".to_owned(),
            SEARCH,
        ),
        (
            "a text that is not in it",
            "/find?q=nowhere".to_owned(),
            SEARCH,
        ),
    ];
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .expect("a client can be made");
    for (what, rest, budget) in pages {
        let path = format!("{page}{rest}");
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            let begin = Instant::now();
            let answer = client.get(world.url(&path)).send().await;
            times.push(begin.elapsed().as_secs_f64() * 1e3);
            let answer = answer.expect("the server answers");
            assert!(
                answer.status().as_u16() < 400,
                "{path}: {}",
                answer.status()
            );
        }
        let name = format!("log of {} MiB, {state}: {what}, median", length >> 20);
        figure(&name, at(50, &mut times), budget, "ms");
    }
    let begin = Instant::now();
    let raw = page.replace("/runs/", "/api/v1/runs/");
    let answer = client
        .get(world.url(&raw))
        .send()
        .await
        .expect("the server answers");
    let got = answer.bytes().await.expect("it can be read").len();
    assert_eq!(got, length, "all of it comes");
    println!(
        "log of {} MiB, {state}: all of it in {:.1} s",
        length >> 20,
        begin.elapsed().as_secs_f64()
    );
}
