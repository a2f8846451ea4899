//! One package from the server to the disk: checked, and there under its name as a whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::pin::pin;

use futures_util::StreamExt;
use indicatif::ProgressBar;
use sha2::Digest;

use super::Wanted;
use super::part::{Part, hash_of};
use crate::failure::{Failure, Outcome};
use crate::output::Session;
use crate::patience::Patience;

/// How often a package is begun again after its connection broke.
const TRIES: u32 = 5;

/// Fetches a package unless it is there already. Whether it was fetched comes back.
pub async fn fetch(
    session: &Session,
    package: &Wanted,
    bar: &ProgressBar,
) -> Result<bool, Failure> {
    bar.set_message(package.file_name.clone());
    if is_there(package).await? {
        bar.inc(package.size);
        return Ok(false);
    }
    let folder = package.path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)
        .map_err(|error| Failure::file(format!("make the folder {}", folder.display()), &error))?;
    let mut patience = Patience::default();
    for tried in 1.. {
        let mut got = 0;
        match attempt(session, package, bar, &mut got).await {
            Ok(()) => break,
            Err(failure) => {
                bar.dec(got);
                if tried == TRIES {
                    return Err(failure);
                }
                patience.wait(Some(failure)).await?;
            }
        }
    }
    Ok(true)
}

/// Whether the file is there with the right content.
async fn is_there(package: &Wanted) -> Result<bool, Failure> {
    let (path, size) = (package.path.clone(), package.size);
    let digest = tokio::task::spawn_blocking(move || -> io::Result<Option<String>> {
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() != size {
            return Ok(None);
        }
        let (hash, _) = hash_of(&mut file)?;
        Ok(Some(hex::encode(hash.finalize())))
    })
    .await
    .map_err(|error| Failure::new(format!("cannot check {}: {error}", package.path.display())))?
    .map_err(|error| Failure::file(format!("read {}", package.path.display()), &error))?;
    Ok(digest.is_some_and(|digest| digest.eq_ignore_ascii_case(&package.sha256)))
}

/// `length` is what is there, and grows with what comes in, as the bar does.
async fn attempt(
    session: &Session,
    package: &Wanted,
    bar: &ProgressBar,
    length: &mut u64,
) -> Outcome {
    let write =
        |error: &io::Error| Failure::file(format!("write {}", package.path.display()), error);
    let (path, size) = (Part::path(package), package.size);
    let opened = tokio::task::spawn_blocking(move || Part::open(path, size)).await;
    let opened = opened.map_err(|error| Failure::new(error.to_string()))?;
    let Some(mut part) = opened.map_err(|error| write(&error))? else {
        return Err(Failure::new(format!(
            "another download writes {}",
            package.path.display()
        ))
        .hint("wait for it, or name another folder with --dir"));
    };
    *length = part.length;
    bar.inc(part.length);
    if part.length < package.size {
        let asked = session.client.file_from(&package.source, part.length);
        let (begin, stream) = asked.await?;
        if begin != part.length {
            bar.dec(part.length);
            *length = 0;
            part.begin_anew().map_err(|error| write(&error))?;
        }
        let mut stream = pin!(stream);
        while let Some(bytes) = stream.next().await {
            let bytes = bytes?;
            *length += bytes.len() as u64;
            bar.inc(bytes.len() as u64);
            if *length > package.size {
                break;
            }
            part.add(&bytes).map_err(|error| write(&error))?;
        }
    }
    let wrong = |what: &str| {
        Failure::new(format!(
            "{} from the server {what}; it was thrown away",
            package.file_name
        ))
        .hint("try again; if that does not help, the server's disk or a proxy changes packages")
    };
    if *length != package.size {
        part.throw_away();
        return Err(wrong(&format!(
            "has not the {} bytes that it should have",
            package.size
        )));
    }
    if !part.digest().eq_ignore_ascii_case(&package.sha256) {
        part.throw_away();
        return Err(wrong("has another SHA-256 than it should have"));
    }
    fs::rename(&part.path, &package.path).map_err(|error| write(&error))
}
