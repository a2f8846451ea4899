//! No pushed commit stays unseen: played in virtual time, with every hook lost.

use std::collections::{BTreeMap, BTreeSet};

use buildbtw_fake_gitlab::hooks::Delivering;
use jiff::SignedDuration;

use crate::world::*;

/// What the fake's group holds that is planned with: names with the commits of their branches.
fn truth(world: &World) -> BTreeMap<String, (u64, Option<String>)> {
    let state = world.fake.state();
    let projects = state.projects.values();
    projects
        .filter(|project| !project.archived && project.full_path.starts_with(GROUP))
        .map(|project| {
            let commit = project.repository.head_commit();
            let commit = commit.map(|commit| commit.to_string());
            (project.name.clone(), (project.id, commit))
        })
        .collect()
}

fn index(open: &Open) -> BTreeMap<String, (u64, Option<String>)> {
    let heads = open.sources.heads();
    let repositories = heads.repositories();
    repositories
        .map(|repository| {
            let buildbtw_server::sources::Place::GitLab(address) = &repository.place else {
                panic!("{repository:?} is not on GitLab");
            };
            let commit = repository
                .commit
                .as_ref()
                .map(|commit| commit.commit.clone());
            (repository.pkgbase.to_string(), (address.id.0, commit))
        })
        .collect()
}

#[tokio::test]
async fn every_commit_is_seen_by_the_next_poll_and_everything_by_the_next_sweep() {
    for seed in 0..8 {
        let mut random = fastrand::Rng::with_seed(seed);
        let world = World::new().await;
        world.fake.group("elsewhere");
        world.fake.deliver(Delivering::Never);
        // As if the group had thousands: a poll reads as many pages as it has reason to.
        world.fake.page_at_most(2);
        let mut ids: Vec<u64> = (0..8).map(|n| world.project(&format!("p{n}"))).collect();
        let mut number = 8;
        let open = world.open().await;
        // Those that changed otherwise than by a push, since the last sweep.
        let mut otherwise = BTreeSet::new();
        for step in 0..80 {
            // Mostly minutes, sometimes hours.
            let minutes = if random.u8(..20) == 0 {
                random.i64(60..300)
            } else {
                random.i64(0..12)
            };
            world
                .fake
                .clock()
                .advance(SignedDuration::from_mins(minutes));
            let id = ids[random.usize(..ids.len())];
            let project = world.fake.project_now(id).unwrap();
            match random.u8(..25) {
                0..=9 => {
                    world.push(id, &project.name, &format!("{step}"));
                }
                10 => {
                    world.push_to(id, "side", &project.name, &format!("{step}"));
                }
                11 => {
                    ids.push(world.project(&format!("p{number}")));
                    number += 1;
                }
                12 => {
                    world
                        .fake
                        .change_project(id, |project| project.archived = !project.archived)
                        .unwrap();
                    otherwise.insert(id);
                }
                13 => {
                    let name = format!("p{number}");
                    number += 1;
                    world.fake.move_project(id, GROUP, &name, &name).unwrap();
                    otherwise.insert(id);
                }
                14 if ids.len() > 2 => {
                    ids.retain(|other| *other != id);
                    world.fake.delete_project(id).unwrap();
                    otherwise.insert(id);
                }
                15 => {
                    world.fake.change_project(id, |_| {}).unwrap();
                }
                16 => {
                    open.sweep().await;
                    assert_eq!(index(&open), truth(&world), "seed {seed}, step {step}");
                    otherwise.clear();
                }
                _ => {
                    open.poll().await;
                    let known = index(&open);
                    for (name, (id, commit)) in truth(&world) {
                        if !otherwise.contains(&id) {
                            assert_eq!(
                                known.get(&name),
                                Some(&(id, commit)),
                                "{name}, seed {seed}, step {step}"
                            );
                        }
                    }
                }
            }
        }
        open.sweep().await;
        assert_eq!(index(&open), truth(&world), "seed {seed}");
    }
}
