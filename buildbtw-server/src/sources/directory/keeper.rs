//! Keeping what is known of the source repositories like what they are.
//!
//! One task does it all, one thing after the other, so that two readings of one repository never
//! overtake each other. It looks at a repository when a watch says so; when its last look was so
//! close to a change that time stamps tell nothing yet; every few seconds if it is not
//! watched; and, as the net below all that, once a minute.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use buildbtw_graph::PkgBase;
use rayon::prelude::*;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Directory;
use super::fingerprint::Glance;
use super::locate::{Entry, Found, find, look_at, names_of};
use super::looking::{Look, look};
use super::survey::{Glances, is_suspect, survey};
use super::watches::{Noticed, Watched, Watches};
use crate::sources::Shared;
use crate::sources::reading::Read;

/// How long after the first event of a burst is waited for more: git changes several files.
const BURST: Duration = Duration::from_millis(25);

/// When to look again at what was just changed: a little after its time stamps have settled.
const SETTLING: Duration = Duration::from_millis(3500);

/// How often is looked again at a repository that does not settle, before it is left to the sweep.
const SETTLING_TRIES: u8 = 3;

/// How often those are looked at that are not watched.
const UNWATCHED: Duration = Duration::from_secs(2);

/// How often everything is looked at, watched or not.
const EVERYTHING: Duration = Duration::from_secs(60);

/// A sweep takes at most this part of the time.
const SHARE: u32 = 20;

/// The task's own memory.
pub struct Keeper {
    shared: Arc<Shared>,
    directory: Arc<Directory>,
    noticed: Arc<Noticed>,
    glances: Glances,
    /// What is looked at again soon, with how often it was.
    unsettled: BTreeMap<PkgBase, u8>,
    settle_at: Option<Instant>,
    unwatched: BTreeSet<OsString>,
    watches: Arc<Mutex<Option<Watches>>>,
    watch_limit: usize,
    /// Entries that are refused, and names that two have: each is told once.
    told: HashSet<OsString>,
}

impl Keeper {
    /// One that has seen nothing yet.
    pub fn new(shared: Arc<Shared>, directory: Arc<Directory>, watch_limit: usize) -> Self {
        Self {
            shared,
            directory,
            noticed: Arc::default(),
            glances: Glances::new(),
            unsettled: BTreeMap::new(),
            settle_at: None,
            unwatched: BTreeSet::new(),
            watches: Arc::default(),
            watch_limit,
            told: HashSet::new(),
        }
    }

    /// Works until the server stops.
    pub async fn run(mut self) {
        let shutdown = self.shared.shutdown.clone();
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.work() => {}
        }
        // The watcher has a thread of its own, which ends with it; that may take a moment.
        let watches = Arc::clone(&self.watches);
        let _ = tokio::task::spawn_blocking(move || {
            watches
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take();
        })
        .await;
    }

    async fn work(&mut self) {
        let started = Instant::now();
        while !self.sweep().await {
            tokio::time::sleep(UNWATCHED).await;
        }
        let (total, problems) = self.shared.state.heads().counts();
        tracing::info!(repositories = total, problems, took = ?started.elapsed(), "the sources are read");
        self.shared.whole.send_replace(true);
        self.shared.in_sync.send_replace(true);
        self.begin_watches().await;
        // What changed before its watch began shows now.
        let mut sweep_at = Instant::now();
        let mut unwatched_at = Instant::now() + UNWATCHED;
        loop {
            let settle_at = self.settle_at;
            tokio::select! {
                () = self.noticed.wake.notified() => {
                    tokio::time::sleep(BURST).await;
                    let what = self.noticed.take();
                    if what.everything {
                        sweep_at = sweep_at.min(Instant::now() + BURST);
                    }
                    self.attend(what.entries).await;
                }
                () = tokio::time::sleep_until(settle_at.unwrap_or(sweep_at)), if settle_at.is_some() => {
                    self.settle().await;
                }
                () = tokio::time::sleep_until(sweep_at) => {
                    let begun = Instant::now();
                    self.sweep().await;
                    self.extend_watches().await;
                    sweep_at = Instant::now() + EVERYTHING.max(begun.elapsed() * SHARE);
                }
                () = tokio::time::sleep_until(unwatched_at) => {
                    let begun = Instant::now();
                    self.sweep_unwatched().await;
                    unwatched_at = Instant::now() + UNWATCHED.max(begun.elapsed() * SHARE);
                }
            }
        }
    }

    /// Looks at everything. Whether the folder of sources could be read comes back.
    async fn sweep(&mut self) -> bool {
        let folder = self.directory.folder.clone();
        let glances = std::mem::take(&mut self.glances);
        let known: Vec<PkgBase> = self
            .shared
            .state
            .heads()
            .repositories()
            .map(|repository| repository.pkgbase.clone())
            .collect();
        let Some((glances, survey)) = blocking(move || {
            let survey = survey(&folder, &glances, &known);
            (glances, survey)
        })
        .await
        else {
            return false;
        };
        self.glances = glances;
        match survey {
            Ok(survey) => {
                for (entry, reason) in survey.refused {
                    self.tell(entry, &reason);
                }
                self.unwatched =
                    self.without_watch(survey.entries.into_iter().chain(survey.folders));
                // What changed without an event may have other folders than those that are watched.
                let suspects = survey.suspects.iter();
                self.unwatched.extend(suspects.map(|one| one.entry.clone()));
                self.examine(survey.suspects, survey.gone).await;
                true
            }
            Err(error) => {
                // All that is known is kept: a folder that cannot be read says nothing.
                tracing::error!(folder = %self.directory.folder.display(), %error, "cannot read the folder of sources");
                false
            }
        }
    }

    fn without_watch(&self, entries: impl Iterator<Item = OsString>) -> BTreeSet<OsString> {
        let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        entries
            .filter(|entry| !watches.as_ref().is_some_and(|watches| watches.has(entry)))
            .collect()
    }

    fn tell(&mut self, entry: OsString, reason: &str) {
        if !self.told.contains(&entry) {
            tracing::warn!(entry = %entry.display(), reason, "a git repository among the sources is not read");
            self.told.insert(entry);
        }
    }

    /// Begins to watch, as far as the system has watches.
    async fn begin_watches(&mut self) {
        let (watches, noticed) = (Arc::clone(&self.watches), Arc::clone(&self.noticed));
        let (folder, limit) = (self.directory.folder.clone(), self.watch_limit);
        blocking(move || {
            *watches.lock().unwrap_or_else(PoisonError::into_inner) =
                Some(Watches::begin(&folder, limit, noticed));
        })
        .await;
        self.extend_watches().await;
    }

    /// Watches what is not watched yet, until the system has no more watches.
    async fn extend_watches(&mut self) {
        let entries = std::mem::take(&mut self.unwatched);
        let watches = Arc::clone(&self.watches);
        let left = blocking(move || {
            let mut watches = watches.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(watches) = watches.as_mut() else {
                return entries;
            };
            let mut left = BTreeSet::new();
            let mut exhausted = false;
            for entry in entries {
                let watched = if exhausted {
                    Watched::Exhausted
                } else {
                    watches.follow(&entry)
                };
                exhausted = watched == Watched::Exhausted;
                if watched != Watched::Yes {
                    left.insert(entry);
                }
            }
            left
        })
        .await;
        self.unwatched = left.unwrap_or_default();
    }

    /// Looks at entries that a watch named.
    async fn attend(&mut self, entries: BTreeSet<OsString>) {
        if entries.is_empty() {
            return;
        }
        let watches = Arc::clone(&self.watches);
        let folder = self.directory.folder.clone();
        let looked = blocking(move || {
            let mut watches = watches.lock().unwrap_or_else(PoisonError::into_inner);
            let mut found = Vec::new();
            let mut without = Vec::new();
            let mut names: BTreeSet<PkgBase> = BTreeSet::new();
            for entry in entries {
                let watched = watches
                    .as_mut()
                    .map_or(Watched::No, |watches| watches.follow(&entry));
                if watched != Watched::Yes {
                    without.push(entry.clone());
                }
                // The names that this entry may have had, or may now leave to another entry.
                names.extend(names_of(&entry));
            }
            let mut gone = Vec::new();
            for name in names {
                match find(&folder, &name) {
                    Some(one) => found.push(one),
                    None => gone.push(name),
                }
            }
            (found, gone, without)
        })
        .await;
        let Some((found, gone, without)) = looked else {
            return;
        };
        self.unwatched.extend(without);
        let heads = self.shared.state.heads();
        let gone = gone
            .into_iter()
            .filter(|name| heads.repository(name).is_some())
            .collect();
        drop(heads);
        self.examine(found, gone).await;
    }

    /// Looks at those again that were looked at too shortly after a change.
    async fn settle(&mut self) {
        self.settle_at = None;
        let heads = self.shared.state.heads();
        let found = self
            .unsettled
            .keys()
            .filter_map(|name| heads.repository(name)?.found().cloned());
        let found = found.collect();
        drop(heads);
        self.examine(found, Vec::new()).await;
    }

    /// Looks at those that are not watched.
    async fn sweep_unwatched(&mut self) {
        let blind = {
            let watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
            !watches.as_ref().is_some_and(Watches::sees_folder)
        };
        if blind {
            self.sweep().await;
            return;
        }
        if self.unwatched.is_empty() {
            return;
        }
        let entries = std::mem::take(&mut self.unwatched);
        let glances = std::mem::take(&mut self.glances);
        let folder = self.directory.folder.clone();
        let looked = blocking(move || {
            let suspects: BTreeSet<OsString> = entries
                .par_iter()
                .filter(|entry| match look_at(&folder, entry) {
                    Entry::Repository(found) => is_suspect(&found, &glances),
                    Entry::Folder => false,
                    Entry::Refused(_) | Entry::Other => true,
                })
                .cloned()
                .collect();
            (entries, glances, suspects)
        })
        .await;
        let Some((entries, glances, suspects)) = looked else {
            return;
        };
        self.unwatched = entries;
        self.glances = glances;
        self.attend(suspects).await;
    }

    /// Looks at repositories, keeps and stores what is new, and says so.
    async fn examine(&mut self, suspects: Vec<Found>, gone: Vec<PkgBase>) {
        if !gone.is_empty() {
            self.keep(Vec::new(), gone).await;
        }
        if suspects.is_empty() {
            return;
        }
        let (sender, mut receiver) = mpsc::channel(1);
        let shared = Arc::clone(&self.shared);
        let directory = Arc::clone(&self.directory);
        // Reading goes on while what was read before is stored.
        let reading = tokio::task::spawn_blocking(move || {
            for chunk in suspects.chunks(crate::db::sources::CHUNK) {
                let heads = shared.state.heads();
                let looks: Vec<(PkgBase, Look)> = chunk
                    .par_iter()
                    .map(|found| {
                        let known = heads
                            .repository(&found.pkgbase)
                            .filter(|known| known.found() == Some(found));
                        let known = known.and_then(|known| known.fingerprint.as_ref());
                        (
                            found.pkgbase.clone(),
                            look(found, known, directory.default_branch.as_deref()),
                        )
                    })
                    .collect();
                if sender.blocking_send(looks).is_err() {
                    return;
                }
            }
        });
        while let Some(looks) = receiver.recv().await {
            let mut read = Vec::new();
            for (pkgbase, look) in looks {
                self.note_glance(&pkgbase, look.glance);
                read.extend(look.read);
            }
            self.keep(read, Vec::new()).await;
        }
        if let Err(error) = reading.await {
            tracing::error!(%error, "reading source repositories broke off");
        }
    }

    fn note_glance(&mut self, pkgbase: &PkgBase, glance: Option<Glance>) {
        if glance.is_some() {
            self.unsettled.remove(pkgbase);
        } else {
            let tries = self.unsettled.entry(pkgbase.clone()).or_default();
            *tries += 1;
            if *tries > SETTLING_TRIES {
                self.unsettled.remove(pkgbase);
            } else {
                self.settle_at.get_or_insert(Instant::now() + SETTLING);
            }
        }
        self.glances.insert(pkgbase.clone(), glance);
    }

    async fn keep(&mut self, read: Vec<Read>, gone: Vec<PkgBase>) {
        self.shared.take_in(read, &gone).await;
        for pkgbase in gone {
            self.glances.remove(&pkgbase);
            self.unsettled.remove(&pkgbase);
        }
    }
}

/// Work that blocks, on a thread for it; `None` if it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Some(done),
        Err(error) => {
            tracing::error!(%error, "looking at the sources broke off");
            None
        }
    }
}
