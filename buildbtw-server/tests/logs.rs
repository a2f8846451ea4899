//! Logs: whatever arrives, in whatever order, and whenever the server dies, a log is what was sent.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as expected"
)]

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use buildbtw_api::RunId;
use buildbtw_server::logs::{LogError, Logs};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use proptest::prelude::*;
use tempfile::TempDir;

const LIMIT: u64 = 4 << 20;

fn logs(folder: &TempDir) -> Logs {
    Logs::open(folder.path(), LIMIT).unwrap()
}

async fn append(logs: &Logs, run: RunId, offset: u64, part: &str) -> Result<u64, LogError> {
    logs.append(run, offset, Bytes::copy_from_slice(part.as_bytes()))
        .await
}

async fn whole(logs: &Logs, run: RunId) -> Vec<u8> {
    let parts: Vec<Bytes> = logs.stream(run, 0, false).try_collect().await.unwrap();
    parts.concat()
}

async fn until_packed(logs: &Logs, run: RunId) {
    let mut progress = logs.changed(run).await.unwrap();
    let packed = progress.wait_for(|progress| progress.packed);
    tokio::time::timeout(Duration::from_secs(30), packed)
        .await
        .expect("it is compressed")
        .unwrap();
}

fn file(folder: &TempDir, run: RunId, extension: &str) -> std::path::PathBuf {
    folder
        .path()
        .join("logs")
        .join(format!("{run}.{extension}"))
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder.join("logs"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn overlap_is_passed_over_and_a_gap_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, run) = (logs(&folder), RunId::generate());
    assert_eq!(logs.length(run).await, 0);
    assert_eq!(append(&logs, run, 0, "one\n").await.unwrap(), 4);
    assert_eq!(append(&logs, run, 0, "one\n").await.unwrap(), 4);
    assert_eq!(append(&logs, run, 2, "e\ntwo\n").await.unwrap(), 8);
    assert_eq!(append(&logs, run, 1, "n").await.unwrap(), 8);
    assert_eq!(append(&logs, run, 8, "").await.unwrap(), 8);
    assert!(matches!(
        append(&logs, run, 9, "x").await,
        Err(LogError::Gap { length: 8 })
    ));
    assert!(matches!(
        append(&logs, run, u64::MAX, "x").await,
        Err(LogError::Gap { length: 8 })
    ));
    assert_eq!(whole(&logs, run).await, b"one\ntwo\n");
    assert_eq!(logs.read(run, 4, 2).await.unwrap(), "tw");
    assert_eq!(logs.read(run, 4, u64::MAX).await.unwrap(), "two\n");
    assert_eq!(logs.read(run, 8, 10).await.unwrap(), "");
    assert_eq!(logs.read(run, u64::MAX, 10).await.unwrap(), "");
}

#[tokio::test]
async fn a_closed_log_stays_readable_and_takes_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, run) = (logs(&folder), RunId::generate());
    let text: String = (0..100_000).map(|line| format!("line {line}\n")).collect();
    append(&logs, run, 0, &text).await.unwrap();
    let before = logs.line_start(run, 77_777).await.unwrap().unwrap();
    logs.close(run).await;
    logs.close(run).await;
    assert!(whole(&logs, run).await == text.as_bytes(), "the whole log");
    until_packed(&logs, run).await;
    assert_eq!(
        files(folder.path()),
        [format!("{run}.index"), format!("{run}.zst")]
    );
    assert!(std::fs::metadata(file(&folder, run, "zst")).unwrap().len() < text.len() as u64 / 3);
    assert!(whole(&logs, run).await == text.as_bytes(), "the whole log");
    assert_eq!(logs.length(run).await, text.len() as u64);
    assert_eq!(logs.line_start(run, 77_777).await.unwrap(), Some(before));
    assert_eq!(logs.read(run, before, 11).await.unwrap(), "line 77777\n");
    // Across the border of two frames.
    let border = 256 << 10;
    assert_eq!(
        logs.read(run, border - 20, 40).await.unwrap(),
        text.as_bytes()[border as usize - 20..][..40]
    );
    assert!(matches!(
        append(&logs, run, 0, "x").await,
        Err(LogError::Closed)
    ));
    assert!(matches!(logs.note(run, "x").await, Err(LogError::Closed)));
    // zstd itself reads it, too.
    let packed = std::fs::read(file(&folder, run, "zst")).unwrap();
    assert!(
        zstd::decode_all(&*packed).unwrap() == text.as_bytes(),
        "the unpacked log"
    );
}

#[tokio::test]
async fn lines_are_found_and_times_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, run) = (logs(&folder), RunId::generate());
    assert_eq!(logs.line_start(run, 0).await.unwrap(), None);
    let start = jiff::Timestamp::now();
    let lines: Vec<String> = (0..20_000)
        .map(|line| format!("{}\n", "x".repeat(line % 40)))
        .collect();
    let text = lines.concat();
    let mut offset = 0;
    for part in text.as_bytes().chunks(5000) {
        offset = logs
            .append(run, offset, Bytes::copy_from_slice(part))
            .await
            .unwrap();
    }
    let mut begins = 0;
    for (number, line) in (0..).zip(&lines) {
        if number % 331 == 0 {
            assert_eq!(
                logs.line_start(run, number).await.unwrap(),
                Some(begins),
                "line {number}"
            );
        }
        begins += line.len() as u64;
    }
    assert_eq!(
        logs.line_start(run, lines.len() as u64).await.unwrap(),
        None
    );
    let received = logs.received(run, begins - 1, begins).await.unwrap();
    // Stored as microseconds.
    let end = jiff::Timestamp::now();
    assert_eq!(received.len(), 1);
    assert!(received[0].0 < begins);
    let at = received[0].1;
    assert!(at.as_microsecond() >= start.as_microsecond() && at <= end);
    // Of the whole log the places come in order, the first one at its begin.
    let all = logs.received(run, 0, begins).await.unwrap();
    assert_eq!(all[0].0, 0);
    assert!(all.is_sorted() && all.len() > 1, "{all:?}");
    assert_eq!(all.last(), received.last());
}

#[tokio::test]
async fn a_follower_sees_each_part_and_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, run) = (logs(&folder), RunId::generate());
    // It begins before there is anything, and somewhere in the middle.
    let mut follower = std::pin::pin!(logs.stream(run, 2, true));
    let mut from_the_start = std::pin::pin!(logs.stream(run, 0, true));
    append(&logs, run, 0, "one\n").await.unwrap();
    assert_eq!(follower.next().await.unwrap().unwrap(), "e\n");
    assert_eq!(from_the_start.next().await.unwrap().unwrap(), "one\n");
    let waiting = tokio::spawn({
        let logs = logs.clone();
        async move { append(&logs, run, 4, "two\n").await.unwrap() }
    });
    assert_eq!(follower.next().await.unwrap().unwrap(), "two\n");
    waiting.await.unwrap();
    logs.note(
        run,
        "the server stopped this run:\nit took \u{1b}[1mtoo long",
    )
    .await
    .unwrap();
    assert_eq!(
        follower.next().await.unwrap().unwrap(),
        "==> the server stopped this run: it took  [1mtoo long\n"
    );
    assert!(matches!(
        append(&logs, run, 8, "late\n").await,
        Err(LogError::Closed)
    ));
    logs.close(run).await;
    assert!(follower.next().await.is_none());
    until_packed(&logs, run).await;
    // This one was slow: the file it began with is gone.
    assert_eq!(
        from_the_start.next().await.unwrap().unwrap(),
        "two\n==> the server stopped this run: it took  [1mtoo long\n"
    );
    assert!(from_the_start.next().await.is_none());
}

#[tokio::test]
async fn a_note_begins_on_its_own_line_and_a_log_without_output_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, cut_off, silent) = (logs(&folder), RunId::generate(), RunId::generate());
    append(&logs, cut_off, 0, "half a li").await.unwrap();
    logs.note(cut_off, "gone").await.unwrap();
    assert_eq!(whole(&logs, cut_off).await, b"half a li\n==> gone\n");
    let follower = logs.stream(silent, 0, true);
    logs.close(silent).await;
    assert_eq!(follower.count().await, 0);
    until_packed(&logs, silent).await;
    assert_eq!(whole(&logs, silent).await, b"");
}

#[tokio::test]
async fn of_a_long_log_head_and_tail_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::generate();
    let logs = Logs::open(folder.path(), 80_000).unwrap();
    let text: String = (0..50_000).map(|line| format!("line {line}\n")).collect();
    let mut live = std::pin::pin!(logs.stream(run, 0, true));
    let mut followed = Vec::new();
    let mut offset = 0;
    for part in text.as_bytes().chunks(3_001) {
        offset = logs
            .append(run, offset, Bytes::copy_from_slice(part))
            .await
            .unwrap();
        while followed.len() < usize::try_from(offset).unwrap() {
            followed.extend_from_slice(&live.next().await.unwrap().unwrap());
        }
    }
    // Who keeps up misses nothing.
    assert!(followed == text.as_bytes(), "the followed log");
    assert_eq!(offset, text.len() as u64);
    let on_disk: u64 = files(folder.path())
        .iter()
        .filter(|name| !name.ends_with("index"))
        .map(|name| {
            std::fs::metadata(folder.path().join("logs").join(name))
                .unwrap()
                .len()
        })
        .sum();
    assert!(
        (60_000..81_000).contains(&on_disk),
        "{on_disk} bytes on the disk"
    );
    let shown = String::from_utf8(whole(&logs, run).await).unwrap();
    let (head, rest) = shown.split_once("\n[").unwrap();
    let (left_out, tail) = rest
        .split_once(" bytes were left out here: the log is longer than its limit]\n")
        .unwrap();
    assert!(text.starts_with(head) && head.len() == 40_000);
    assert!(text.ends_with(tail) && tail.len() >= 30_000);
    assert_eq!(
        head.len() + left_out.parse::<usize>().unwrap() + tail.len(),
        text.len()
    );
    // A part that was sent before is passed over, though it is not kept.
    assert_eq!(append(&logs, run, 45_000, "again").await.unwrap(), offset);
    // The same after a restart, with another limit, and once it is compressed.
    let tail_read = logs.read(run, offset - 100, 100).await.unwrap();
    assert_eq!(tail_read, text.as_bytes()[text.len() - 100..]);
    drop(logs);
    let logs = Logs::open(folder.path(), 1_000_000).unwrap();
    assert!(whole(&logs, run).await == shown.as_bytes(), "the whole log");
    assert_eq!(logs.length(run).await, offset);
    logs.close(run).await;
    until_packed(&logs, run).await;
    assert!(whole(&logs, run).await == shown.as_bytes(), "the whole log");
    assert_eq!(logs.read(run, offset - 100, 100).await.unwrap(), tail_read);
    assert_eq!(logs.length(run).await, offset);
}

#[tokio::test]
async fn after_a_crash_a_log_is_what_its_file_holds() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunId::generate();
    let text: String = (0..30_000).map(|line| format!("line {line}\n")).collect();
    {
        let logs = logs(&folder);
        append(&logs, run, 0, &text).await.unwrap();
    }
    // Half of the last write did not get there, and the index lost its end in mid-entry.
    let log = file(&folder, run, "log");
    let cut = text.len() as u64 - 1234;
    std::fs::File::options()
        .write(true)
        .open(&log)
        .unwrap()
        .set_len(cut)
        .unwrap();
    let index = file(&folder, run, "index");
    std::fs::File::options()
        .write(true)
        .open(&index)
        .unwrap()
        .set_len(24 + 11)
        .unwrap();
    let logs = logs(&folder);
    assert_eq!(logs.length(run).await, cut);
    assert_eq!(
        logs.line_start(run, 29_000).await.unwrap(),
        Some(text.find("line 29000\n").unwrap() as u64)
    );
    assert!(std::fs::metadata(&index).unwrap().len() >= 5 * 24);
    assert!(
        matches!(append(&logs, run, text.len() as u64, "more").await, Err(LogError::Gap { length }) if length == cut)
    );
    append(&logs, run, 0, &text).await.unwrap();
    assert!(whole(&logs, run).await == text.as_bytes(), "the whole log");
    // The index may be gone altogether.
    drop(logs);
    std::fs::remove_file(&index).unwrap();
    let logs = Logs::open(folder.path(), LIMIT).unwrap();
    assert_eq!(logs.line_start(run, 1).await.unwrap(), Some(7));
}

#[tokio::test]
async fn what_was_closed_before_a_crash_is_compressed_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let [closed, packed, open, over] = [(); 4].map(|()| RunId::generate());
    {
        let logs = logs(&folder);
        for run in [closed, packed, open, over] {
            append(&logs, run, 0, "some text\n").await.unwrap();
        }
        logs.close(packed).await;
        until_packed(&logs, packed).await;
    }
    // Killed before, and after the compressed file was there; and in the middle of writing one.
    std::fs::write(file(&folder, closed, "closed"), "").unwrap();
    std::fs::write(file(&folder, packed, "closed"), "").unwrap();
    std::fs::write(file(&folder, packed, "log"), "some text\n").unwrap();
    std::fs::write(file(&folder, closed, "part"), "rubbish").unwrap();
    let logs = logs(&folder);
    until_packed(&logs, closed).await;
    logs.close_all_but(&HashSet::from([open])).await.unwrap();
    until_packed(&logs, over).await;
    append(&logs, open, 10, "and more\n").await.unwrap();
    for run in [closed, packed, over] {
        assert_eq!(whole(&logs, run).await, b"some text\n");
        assert!(matches!(
            append(&logs, run, 10, "x").await,
            Err(LogError::Closed)
        ));
    }
    let mut left = files(folder.path());
    left.retain(|name| !name.ends_with(".index") && !name.ends_with(".zst"));
    assert_eq!(left, [format!("{open}.log")]);
}

#[tokio::test]
async fn a_damaged_compressed_log_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (logs, run) = (logs(&folder), RunId::generate());
    append(&logs, run, 0, "some text\n").await.unwrap();
    logs.close(run).await;
    until_packed(&logs, run).await;
    let path = file(&folder, run, "zst");
    let sound = std::fs::read(&path).unwrap();
    for damage in [
        &sound[..sound.len() - 1],
        b"",
        b"no log at all, but long enough for a table",
    ] {
        std::fs::write(&path, damage).unwrap();
        assert!(logs.read(run, 0, 10).await.is_err());
    }
    let mut rows_lie = sound.clone();
    let row = sound.len() - 20 - 16;
    rows_lie[row + 12..row + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    std::fs::write(&path, &rows_lie).unwrap();
    assert!(logs.read(run, 0, 10).await.is_err());
}

/// What happens to a log: a part is sent, or the server is killed and starts again.
#[derive(Debug, Clone)]
enum Step {
    Part { from: usize, to: usize },
    Restart { torn: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (0..4000_usize, 0..900_usize).prop_map(|(from, len)| Step::Part { from, to: (from + len).min(4000) }),
        1 => (0..40_usize).prop_map(|torn| Step::Restart { torn }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Any sequence of overlapping, repeated and reordered parts gives exactly the log, or refusals.
    #[test]
    fn parts_give_the_log_or_refusals(steps in prop::collection::vec(step(), 1..60), limit in 1000..9000_u64, close: bool) {
        let text: Vec<u8> = (0..4000_u32).map(|at| if at % 17 == 0 { b'\n' } else { b'a' + (at / 17 % 26) as u8 }).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let run = RunId::generate();
            let mut logs = Logs::open(folder.path(), limit).unwrap();
            let mut have = 0;
            for step in steps {
                match step {
                    Step::Part { from, to } => {
                        let result = logs.append(run, from as u64, Bytes::copy_from_slice(&text[from..to])).await;
                        if from > have {
                            assert!(matches!(result, Err(LogError::Gap { length }) if length == have as u64));
                        } else {
                            have = have.max(to);
                            assert_eq!(result.unwrap(), have as u64);
                        }
                    }
                    Step::Restart { torn } => {
                        drop(logs);
                        let index = folder.path().join("logs").join(format!("{run}.index"));
                        if let Ok(file) = std::fs::File::options().write(true).open(index) {
                            let len = file.metadata().unwrap().len();
                            file.set_len(len.saturating_sub(torn as u64)).unwrap();
                        }
                        logs = Logs::open(folder.path(), limit).unwrap();
                    }
                }
                assert_eq!(logs.length(run).await, have as u64);
            }
            if close {
                logs.close(run).await;
                until_packed(&logs, run).await;
            }
            let shown = whole(&logs, run).await;
            let kept = have as u64 <= limit / 2 + limit / 8 * 4;
            if kept {
                assert_eq!(shown, &text[..have]);
            } else {
                let head = usize::try_from(limit / 2).unwrap();
                assert_eq!(&shown[..head], &text[..head]);
                let tail = head / 2;
                assert_eq!(&shown[shown.len() - tail..], &text[have - tail..have]);
            }
            // Every byte that is kept is found at its own offset.
            for offset in [0, have / 3, have / 2, have.saturating_sub(1)] {
                let byte = logs.read(run, offset as u64, 1).await.unwrap();
                let in_gap = byte.first() == Some(&b'\n') && !kept;
                assert!(in_gap || byte == text[offset..have.min(offset + 1)]);
            }
        });
    }
}
