//! How long it takes until all of a namespace is built: a pure function of what waits, what is under way,
//! and who gets builds.

use buildbtw_api::{NamespaceStatus, ServerMode, WorkerMode};

use super::{Speed, UnderWay, Workplace};

/// What is under way takes at least so long still, in milliseconds: it is not over.
const LEAST_MS: i64 = 1_000;

/// What is left to be built of a namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remaining<'a> {
    /// Where the namespace stands.
    pub namespace: NamespaceStatus,
    /// The longest path that begins with something that is not handed out, in milliseconds.
    pub path_ms: i64,
    /// All that is not handed out, one after the other, in milliseconds.
    pub work_ms: i64,
    /// How many builds are not handed out.
    pub waiting: u32,
    /// What is under way, each on a worker so fast.
    pub under_way: &'a [(UnderWay, Speed)],
}

/// What is said of the time until all is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToGo {
    /// Nothing is left, or what is left is not handed out: no time can be told.
    Untold,
    /// No worker was heard of lately.
    NoWorker,
    /// There are workers, and none of them gets builds.
    NoneActive,
    /// About so many milliseconds.
    About(i64),
}

/// How long it takes until all that is left is built: the longest path, or the share of the work of each
/// slot that gets builds (Graham 1966).
pub fn to_go(remaining: &Remaining<'_>, server: ServerMode, workers: &[Workplace]) -> ToGo {
    if remaining.namespace != NamespaceStatus::Active
        || (remaining.waiting == 0 && remaining.under_way.is_empty())
    {
        return ToGo::Untold;
    }
    let (mut path_ms, mut work_ms) = (remaining.path_ms, remaining.work_ms);
    for (run, speed) in remaining.under_way {
        let left = run.left_ms(*speed).max(LEAST_MS);
        path_ms = path_ms.max(left.saturating_add(run.expected.behind_ms.max(0)));
        work_ms = work_ms.saturating_add(speed.normal(left));
    }
    // What is handed out goes on whatever comes after it.
    if remaining.waiting == 0 {
        return ToGo::About(path_ms);
    }
    if server != ServerMode::Run {
        return ToGo::Untold;
    }
    if workers.iter().all(|worker| worker.slots == 0) {
        return ToGo::NoWorker;
    }
    let active = workers
        .iter()
        .filter(|worker| worker.mode == WorkerMode::Active);
    let pace = active.map(|worker| worker.speed.normal(i64::from(worker.slots) * 1_000));
    match pace.sum::<i64>() {
        0 => ToGo::NoneActive,
        pace => ToGo::About(path_ms.max(work_ms.saturating_mul(1_000) / pace)),
    }
}

#[cfg(test)]
mod tests {
    use buildbtw_api::BuildPlace;

    use super::super::Expected;
    use super::*;

    fn worker(mode: WorkerMode) -> Workplace {
        Workplace {
            key: 1,
            name: "w".to_owned(),
            architectures: Vec::new(),
            slots: 1,
            running: 0,
            memory: None,
            labels: Vec::new(),
            mode,
            place: BuildPlace::Workers,
            speed: Speed::default(),
            under_way: Vec::new(),
        }
    }

    fn run(elapsed_s: i64, own_s: i64, behind_s: i64) -> (UnderWay, Speed) {
        let expected = Expected {
            own_ms: own_s * 1_000,
            behind_ms: behind_s * 1_000,
            namespace: 1,
        };
        let elapsed_ms = elapsed_s * 1_000;
        let run = UnderWay {
            elapsed_ms,
            expected,
        };
        (run, Speed::default())
    }

    fn remaining(
        waiting: u32,
        work_s: i64,
        path_s: i64,
        under_way: &[(UnderWay, Speed)],
    ) -> Remaining<'_> {
        Remaining {
            namespace: NamespaceStatus::Active,
            path_ms: path_s * 1_000,
            work_ms: work_s * 1_000,
            waiting,
            under_way,
        }
    }

    /// In seconds, with two workers that get builds.
    fn about(remaining: &Remaining<'_>) -> i64 {
        let workers = [worker(WorkerMode::Active), worker(WorkerMode::Active)];
        match to_go(remaining, ServerMode::Run, &workers) {
            ToGo::About(ms) => ms / 1_000,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_time_counts_down_while_a_build_runs_and_what_is_overdue_counts_a_little_more() {
        let alone = |elapsed| about(&remaining(0, 0, 0, &[run(elapsed, 50, 0)]));
        assert_eq!([0, 20, 42, 49].map(alone), [50, 30, 8, 9]);
        assert_eq!([50, 100, 3_600].map(alone), [10, 20, 720]);
        assert_eq!(about(&remaining(0, 0, 0, &[run(0, 0, 0)])), 1);
        // What waits for it comes on top, however long it takes itself.
        assert_eq!(about(&remaining(1, 30, 0, &[run(42, 50, 30)])), 38);
        // A fast worker takes less.
        let (fast, _) = run(10, 50, 0);
        let fast = (fast, Speed::thousandths(2_000));
        assert_eq!(about(&remaining(0, 0, 0, &[fast])), 15);
    }

    #[test]
    fn only_slots_of_workers_that_get_builds_count() {
        let left = remaining(4, 400, 100, &[]);
        assert_eq!(about(&left), 200);
        for mode in [
            WorkerMode::SetAside,
            WorkerMode::Paused,
            WorkerMode::Draining,
        ] {
            let workers = [worker(WorkerMode::Active), worker(mode)];
            let one = to_go(&left, ServerMode::Run, &workers);
            assert_eq!(one, ToGo::About(400_000), "{mode}");
            let none = to_go(&left, ServerMode::Run, &[worker(mode)]);
            assert_eq!(none, ToGo::NoneActive);
        }
        assert_eq!(to_go(&left, ServerMode::Run, &[]), ToGo::NoWorker);
    }

    #[test]
    fn no_time_is_told_while_nothing_is_handed_out() {
        let workers = [worker(WorkerMode::Active)];
        let under_way = [run(10, 50, 0)];
        let left = remaining(1, 100, 100, &under_way);
        for mode in [ServerMode::Drain, ServerMode::Stopped] {
            assert_eq!(to_go(&left, mode, &workers), ToGo::Untold);
        }
        let last = remaining(0, 0, 0, &under_way);
        let drained = to_go(&last, ServerMode::Drain, &workers);
        assert_eq!(drained, ToGo::About(40_000));
        let paused = Remaining {
            namespace: NamespaceStatus::Paused,
            ..left
        };
        assert_eq!(to_go(&paused, ServerMode::Run, &workers), ToGo::Untold);
        let nothing = remaining(0, 0, 0, &[]);
        assert_eq!(to_go(&nothing, ServerMode::Run, &workers), ToGo::Untold);
    }
}
