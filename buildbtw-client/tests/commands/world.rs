//! What a server of the tests knows, and how it changes.

use std::collections::BTreeMap;

use buildbtw_api::builds::BuildDetails;
use buildbtw_api::events::{Event, EventKind};
use buildbtw_api::ingredients::Explained;
use buildbtw_api::modes::ServerModeNote;
use buildbtw_api::namespaces::{IterationDifference, NamespaceDetails};
use buildbtw_api::runs::RunDetails;
use buildbtw_api::sources::SourceRepository;
use buildbtw_api::workers::Worker;
use buildbtw_api::{BuildStatus, IterationStatus, NamespaceStatus, RunId};
use buildbtw_graph::Plan;

use crate::fixtures::event;

/// Everything that the server knows.
#[derive(Default)]
pub struct World {
    pub plan: Option<Plan>,
    pub explanation: Option<Explained>,
    pub difference: Option<IterationDifference>,
    pub namespaces: BTreeMap<String, NamespaceDetails>,
    /// By namespace and iteration.
    pub builds: BTreeMap<(String, u32), Vec<BuildDetails>>,
    pub runs: BTreeMap<RunId, RunDetails>,
    pub logs: BTreeMap<RunId, Vec<u8>>,
    /// By path.
    pub files: BTreeMap<String, Vec<u8>>,
    pub sources: Vec<SourceRepository>,
    pub workers: Vec<Worker>,
    pub mode: ServerModeNote,
    pub events: Vec<Event>,
    /// What was asked: method, path and query.
    pub asked: Vec<String>,
    /// The last body that asked for a plan or namespace.
    pub body: Option<String>,
    /// The next answers of these kinds break after so many bytes.
    pub cut_logs: Vec<usize>,
    /// At which byte each wish for a file began.
    pub asked_from: Vec<usize>,
    pub cut_files: Vec<usize>,
    /// So many of the next logs end in order, although their run goes on.
    pub short_logs: usize,
    /// The next streams of events break after so many events.
    pub cut_events: Vec<usize>,
    /// Files come half, and then nothing more happens.
    pub stall_files: bool,
    /// Every page of builds names the same next one.
    pub stuck: bool,
    /// How many builds a page has.
    pub page: usize,
    /// Streams end, as at a shutdown.
    pub stopping: bool,
}

impl World {
    /// Records an event.
    pub fn record(&mut self, mut event: Event) {
        event.seq = 1000 + self.events.len() as i64;
        self.events.push(event);
    }

    /// Moves a build to another status, as the server does: the build, the counts and the event.
    pub fn set(
        &mut self,
        namespace: &str,
        iteration: u32,
        pkgbase: &str,
        to: BuildStatus,
        why: Option<&str>,
    ) {
        let builds = self
            .builds
            .get_mut(&(namespace.to_owned(), iteration))
            .expect("it has builds");
        let mut changed = Vec::new();
        for details in builds.iter_mut() {
            let build = &mut details.build;
            if build.pkgbase.as_str() != pkgbase || build.status == to {
                continue;
            }
            let mut event = event(EventKind::BuildStatus, namespace);
            event.iteration = Some(iteration);
            event.architecture = Some(build.architecture.clone());
            event.pkgbase = Some(build.pkgbase.clone());
            event.pass = Some(build.pass);
            event.from = Some(build.status);
            event.to = Some(to.to_string());
            event.message = why.map(str::to_owned);
            changed.push(event);
            build.status = to;
            build.reason = why.map(str::to_owned);
        }
        changed.into_iter().for_each(|event| self.record(event));
        self.count(namespace, iteration);
    }

    /// Brings the counts of an iteration up to date.
    pub fn count(&mut self, namespace: &str, iteration: u32) {
        let builds = &self.builds[&(namespace.to_owned(), iteration)];
        let details = self.namespaces.get_mut(namespace).expect("it is there");
        let newest = details
            .iterations
            .iter_mut()
            .find(|one| one.number == iteration);
        for (architecture, set) in &mut newest.expect("it is there").build_sets {
            set.counts.clear();
            for build in builds
                .iter()
                .filter(|one| one.build.architecture == *architecture)
            {
                *set.counts.entry(build.build.status).or_default() += 1;
            }
        }
        details.namespace.iteration = details.iterations.first().cloned();
    }

    /// Moves a namespace to another status.
    pub fn set_namespace(&mut self, namespace: &str, to: NamespaceStatus) {
        self.namespaces
            .get_mut(namespace)
            .expect("it is there")
            .namespace
            .status = to;
        let mut event = event(EventKind::NamespaceStatus, namespace);
        event.to = Some(to.to_string());
        self.record(event);
    }

    /// Moves an iteration to another status.
    pub fn set_iteration(&mut self, namespace: &str, number: u32, to: IterationStatus) {
        let details = self.namespaces.get_mut(namespace).expect("it is there");
        let iteration = details
            .iterations
            .iter_mut()
            .find(|one| one.number == number);
        iteration.expect("it is there").status = to;
        let mut event = event(EventKind::IterationStatus, namespace);
        event.iteration = Some(number);
        event.to = Some(to.to_string());
        self.record(event);
    }
}
