//! Repositories, commits, trees and files.

use std::sync::Arc;

use gix::ObjectId;
use gix::objs::tree::EntryKind;
use serde_json::{Value, json};

use super::Asked;
use super::node::{Arguments, Node, Out};
use super::pages::by_place;
use super::pipelines::page_of_pipelines;
use crate::clock::graphql_time;
use crate::repository::{Blob, TreeEntry};
use crate::state::Project;

/// The most bytes of several files at once.
const MOST_BYTES: usize = 20 << 20;

/// The commit that `ref` and `refType` name; the default branch's without.
fn named(project: &Project, arguments: &Arguments) -> Option<ObjectId> {
    match (arguments.text("ref"), arguments.text("refType")) {
        (None, _) => project.repository.head_commit(),
        (Some(name), Some("HEADS")) => project.repository.reference(&format!("refs/heads/{name}")),
        (Some(name), Some("TAGS")) => project.repository.reference(&format!("refs/tags/{name}")),
        (Some(name), _) => project.repository.resolve(name),
    }
}

/// A project's repository.
pub fn repository(asked: &Arc<Asked>, project: &Project) -> Node {
    let (asked, project) = (Arc::clone(asked), project.clone());
    Node::new("Repository", move |field, arguments| {
        let git = &project.repository;
        if !matches!(field, "diskPath" | "empty") {
            asked.asks_git();
        }
        Ok(Some(match field {
            "exists" => true.into(),
            "empty" => git.names("refs/heads/").is_empty().into(),
            "diskPath" => Out::Leaf(Value::Null),
            "rootRef" => git
                .head_commit()
                .map(|_| git.head())
                .map_or(Out::Leaf(Value::Null), Into::into),
            "branchCount" => git.names("refs/heads/").len().into(),
            "tagCount" => git.names("refs/tags/").len().into(),
            "commitCount" => {
                let mut count = 0;
                let mut next = git.head_commit();
                while let Some(commit) = next {
                    count += 1;
                    next = git
                        .commit(commit)
                        .ok()
                        .and_then(|info| info.parents.first().copied());
                }
                count.into()
            }
            "branchNames" => {
                let pattern = arguments.text("searchPattern").unwrap_or_default();
                let (start, end) = pattern.split_once('*').unwrap_or((pattern, ""));
                let exact = !pattern.contains('*');
                let names = git.names("refs/heads/");
                let names = names.into_iter().filter(|name| {
                    if exact {
                        name == pattern
                    } else {
                        name.starts_with(start) && name.ends_with(end)
                    }
                });
                let offset = arguments.number("offset").unwrap_or_default();
                let limit = arguments.number("limit").unwrap_or_default();
                let names: Vec<String> = names.skip(offset).take(limit).collect();
                Out::Leaf(json!(names))
            }
            "commit" => {
                let name = arguments.text("ref").unwrap_or_default();
                let found = git.resolve(name);
                Out::Node(found.and_then(|id| commit(&asked, &project, id)))
            }
            "lastCommit" => {
                let found = named(&project, arguments);
                Out::Node(found.and_then(|id| commit(&asked, &project, id)))
            }
            "blobs" => {
                let paths = arguments.texts("paths").unwrap_or_default();
                let Some(id) = named(&project, arguments) else {
                    return Ok(Some(Out::Node(None)));
                };
                // Files that are not there are left out.
                let blobs: Vec<Blob> = paths.iter().filter_map(|path| git.file(id, path)).collect();
                if blobs.len() > 1
                    && blobs.iter().map(|blob| blob.data.len()).sum::<usize>() > MOST_BYTES
                {
                    return Err("Total size of the blobs is too large".to_owned());
                }
                Out::Node(Some(by_place(
                    "RepositoryBlobConnection",
                    "RepositoryBlobEdge",
                    blobs,
                    arguments,
                    |found| Some(blob(found)),
                )?))
            }
            "tree" => {
                let Some(id) = named(&project, arguments) else {
                    return Ok(Some(Out::Node(None)));
                };
                let path = arguments.text("path").unwrap_or_default();
                let mut entries = git.tree(id, path).unwrap_or_default();
                if arguments.flag("recursive") == Some(true) {
                    let mut at = 0;
                    while at < entries.len() {
                        if entries[at].kind == EntryKind::Tree {
                            let below = git.tree(id, &entries[at].path);
                            entries.extend(below.unwrap_or_default());
                        }
                        at += 1;
                    }
                }
                Out::Node(Some(tree(&asked, &project, id, entries)))
            }
            _ => return Ok(None),
        }))
    })
}

fn blob(blob: &Blob) -> Node {
    let text = String::from_utf8_lossy(&blob.data).into_owned();
    // git's own rule: a zero byte near the beginning makes a file binary.
    let binary = blob.data.iter().take(8000).any(|byte| *byte == 0);
    let size = blob.data.len().to_string();
    let name = blob.path.rsplit('/').next().unwrap_or_default().to_owned();
    Node::of(
        "RepositoryBlob",
        json!({
            "id": format!("gid://gitlab/Gitlab::Git::Blob/{}", blob.id), "oid": blob.id.to_string(), "path": blob.path,
            "name": name, "mode": "100644", "rawTextBlob": if binary { Value::Null } else { text.clone().into() },
            "rawBlob": text, "size": size, "rawSize": size, "archived": false, "lfsOid": null, "storedExternally": null,
            "webPath": null, "rawPath": null,
        }),
    )
}

/// A commit; none if it is not there.
pub fn commit(asked: &Arc<Asked>, project: &Project, id: ObjectId) -> Option<Node> {
    let info = project.repository.commit(id).ok()?;
    let (asked, project) = (Arc::clone(asked), project.clone());
    Some(Node::new("Commit", move |field, arguments| {
        let path = format!("/{}/-/commit/{}", project.full_path, info.id);
        Ok(Some(match field {
            "id" => format!("gid://gitlab/Commit/{}", info.id).into(),
            "sha" => info.id.to_string().into(),
            "shortId" => info.id.to_string()[..8].into(),
            "title" | "fullTitle" => info.title().into(),
            "message" => info.message.clone().into(),
            "description" => Out::Leaf(Value::Null),
            "authorName" => info.author.0.clone().into(),
            "authorEmail" => info.author.1.clone().into(),
            "author" => Out::Node(None),
            "authoredDate" => graphql_time(info.authored_at).into(),
            "webUrl" => format!("{}{path}", asked.shared.url()).into(),
            "webPath" => path.into(),
            "pipelines" => {
                let sha = info.id.to_string();
                let state = asked.shared.state();
                let found = state
                    .pipelines
                    .values()
                    .rev()
                    .filter(|pipeline| pipeline.project == project.id && pipeline.sha == sha);
                let found = found.cloned().collect();
                drop(state);
                Out::Node(Some(page_of_pipelines(&asked, found, arguments)?))
            }
            _ => return Ok(None),
        }))
    }))
}

fn tree(asked: &Arc<Asked>, project: &Project, id: ObjectId, entries: Vec<TreeEntry>) -> Node {
    let (asked, project) = (Arc::clone(asked), project.clone());
    Node::new("Tree", move |field, arguments| {
        let of = |wanted: &[EntryKind]| -> Vec<TreeEntry> {
            let entries = entries.iter().filter(|entry| wanted.contains(&entry.kind));
            entries.cloned().collect()
        };
        Ok(Some(Out::Node(match field {
            "lastCommit" => commit(&asked, &project, id),
            "blobs" => Some(by_place(
                "BlobConnection",
                "BlobEdge",
                of(&[EntryKind::Blob, EntryKind::BlobExecutable, EntryKind::Link]),
                arguments,
                |found| Some(entry("Blob", "blob", found)),
            )?),
            "trees" => Some(by_place(
                "TreeEntryConnection",
                "TreeEntryEdge",
                of(&[EntryKind::Tree]),
                arguments,
                |found| Some(entry("TreeEntry", "tree", found)),
            )?),
            "submodules" => Some(by_place(
                "SubmoduleConnection",
                "SubmoduleEdge",
                of(&[EntryKind::Commit]),
                arguments,
                |found| Some(entry("Submodule", "commit", found)),
            )?),
            _ => return Ok(None),
        })))
    })
}

fn entry(type_name: &'static str, kind: &str, entry: &TreeEntry) -> Node {
    let mode = match entry.kind {
        EntryKind::BlobExecutable => "100755",
        EntryKind::Link => "120000",
        _ => "100644",
    };
    Node::of(
        type_name,
        json!({
            "id": format!("gid://gitlab/Gitlab::Git::Tree/{}", entry.id), "name": entry.name, "path": entry.path,
            "flatPath": entry.path, "sha": entry.id.to_string(), "type": kind, "mode": mode, "lfsOid": null,
            "webPath": null, "webUrl": null, "treeUrl": null,
        }),
    )
}
