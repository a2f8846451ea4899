//! What there is in the folder of sources, by time stamps alone.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use buildbtw_graph::PkgBase;
use rayon::prelude::*;

use super::fingerprint::Glance;
use super::locate::{Entry, Found, by_name, entries, look_at};

/// The last glances; none where time stamps told nothing.
pub type Glances = HashMap<PkgBase, Option<Glance>>;

/// What a look at the folder of sources found.
pub struct Survey {
    /// Repositories whose references may have changed.
    pub suspects: Vec<Found>,
    /// Entries that are folders, but not repositories yet.
    pub folders: Vec<OsString>,
    /// All repositories' entries.
    pub entries: BTreeSet<OsString>,
    /// Repositories that were known and are not there.
    pub gone: Vec<PkgBase>,
    /// Git repositories that are not read, and why.
    pub refused: Vec<(OsString, String)>,
}

/// Whether a repository's references may have changed since a glance at it.
pub fn is_suspect(found: &Found, glances: &Glances) -> bool {
    let glance = glances.get(&found.pkgbase).and_then(Option::as_ref);
    glance.is_none_or(|glance| !glance.is_unchanged(&found.git_dir, SystemTime::now()))
}

/// Looks at everything in the folder of sources.
///
/// # Errors
///
/// When the folder cannot be listed.
pub fn survey(folder: &Path, glances: &Glances, known: &[PkgBase]) -> io::Result<Survey> {
    let looked: Vec<(OsString, Entry)> = entries(folder)?
        .into_par_iter()
        .map(|entry| {
            let is = look_at(folder, &entry);
            (entry, is)
        })
        .collect();
    let (mut found, mut folders, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for (entry, is) in looked {
        match is {
            Entry::Repository(one) => found.push(one),
            Entry::Folder => folders.push(entry),
            Entry::Refused(reason) => refused.push((entry, reason)),
            Entry::Other => {}
        }
    }
    let (chosen, others) = by_name(found);
    for other in others {
        let reason = format!("another entry is called {} as well", other.pkgbase);
        refused.push((other.entry, reason));
    }
    let gone = known
        .iter()
        .filter(|name| !chosen.contains_key(*name))
        .cloned()
        .collect();
    let entries = chosen.values().map(|found| found.entry.clone()).collect();
    let chosen: Vec<Found> = chosen.into_values().collect();
    let suspects = chosen
        .into_par_iter()
        .filter(|found| is_suspect(found, glances))
        .collect();
    Ok(Survey {
        suspects,
        folders,
        entries,
        gone,
        refused,
    })
}
