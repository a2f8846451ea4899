//! One architecture's build set, from its members to the finished lists.

use rayon::prelude::*;

use super::Decision;
use super::bits::Bits;
use super::chains::{Chain, Chains};
use super::conflicts::Conflicts;
use super::cycles::{Acyclic, Tangle, break_cycles, tangles};
use super::graph::{Extra, Graph, Root, make_graph};
use super::mixed::{Member, Mixed};
use super::needs::{Needs, Reach, all_needs, strong_needs};
use super::obstacles::{Lookout, Obstacles};
use super::options::PlanOptions;
use super::order::{Order, line_of, reduce};
use super::output::{Because, BuildKey, BuildSet, Edge, PlanWarning, PlannedBuild};
use super::passes::{Passes, Task};
use super::reports::report_findings;
use super::worlds::{Released, Sources};
use crate::names::{Architecture, PkgBase, PkgName};
use crate::relation::Relation;
use crate::source::{RelationKind, SourcePackage};
use crate::version::Version;

/// A member with all that was decided about it beforehand.
pub(super) struct Chosen<'a> {
    /// The source, with the pkgrel it is to have.
    pub source: std::borrow::Cow<'a, SourcePackage>,
    pub because: Because,
    /// The version of the last pass.
    pub version: Version,
    /// The pkgrel to write, of the last pass.
    pub pkgrel: Option<String>,
    /// The pkgrel of the first of two passes, where there may be two.
    pub first_pkgrel: Option<String>,
    /// The architecture whose build serves here too.
    pub refers_to: Option<Architecture>,
}

impl Chosen<'_> {
    pub fn decision(&self) -> Decision<'_> {
        Decision {
            pkgbase: &self.source.pkgbase,
            version: &self.version,
            pkgrel: self.pkgrel.as_deref(),
            elsewhere: self.refers_to.is_some(),
        }
    }
}

/// What a build set is made from.
pub(super) struct Ground<'a> {
    pub sources: Sources<'a>,
    pub released: Released<'a>,
    pub options: &'a PlanOptions,
    /// Installed into every build root.
    pub implicit: &'a [Relation],
}

/// The members as the graph has them.
fn members<'a>(chosen: &'a [Chosen<'_>]) -> Vec<Member<'a>> {
    let member = |chosen: &'a Chosen<'_>| Member {
        source: &chosen.source,
        version: &chosen.version,
    };
    chosen.iter().map(member).collect()
}

/// The cycles among the builds of the chosen members.
pub(super) fn tangles_of(ground: &Ground<'_>, chosen: &[Chosen<'_>]) -> Vec<Tangle> {
    let members = members(chosen);
    let mixed = Mixed::new(ground.sources, ground.released, members.iter().copied());
    let refers = |member: usize| chosen[member].refers_to.is_some();
    let graph = make_graph(&mixed, ground.released, &members, ground.implicit, refers);
    let reach = Reach::new(&graph);
    let needs = all_needs(&graph, &reach);
    let strong = |members: &[u32]| strong_needs(&graph, &reach, members);
    tangles(&needs, &hard_pairs(&graph, &needs), &strong)
}

/// Makes the build set of the chosen members, sorted by pkgbase.
pub(super) fn make_build_set(
    ground: &Ground<'_>,
    chosen: &[Chosen<'_>],
    warnings: &mut Vec<PlanWarning>,
) -> BuildSet {
    let members = members(chosen);
    let mixed = Mixed::new(ground.sources, ground.released, members.iter().copied());
    let refers = |member: usize| chosen[member].refers_to.is_some();
    let graph = make_graph(&mixed, ground.released, &members, ground.implicit, refers);
    let reach = Reach::new(&graph);
    let needs = all_needs(&graph, &reach);
    let hard = hard_pairs(&graph, &needs);
    let lookout = Lookout {
        ground,
        mixed: &mixed,
        graph: &graph,
        members: &members,
        needs: &needs,
    };
    let mut set = BuildSet::default();
    let (acyclic, (conflicts, found, drafts)) = rayon::join(
        || {
            let strong = |members: &[u32]| strong_needs(&graph, &reach, members);
            break_cycles(&needs, &hard, &strong, ground.options.rounds)
        },
        || {
            report_findings(ground, &graph, &mut set, warnings);
            let conflicts = Conflicts::new(&graph, &reach.parts, &mixed);
            let found = lookout.look_ahead(&conflicts);
            (conflicts, found, drafts(ground, &graph, chosen))
        },
    );
    let passes = Passes::new(ground.options, &acyclic);
    let tasks = &passes.tasks;
    let find_order = || {
        if tasks.len() == members.len() {
            return reduce(&acyclic.waits_for, &acyclic.line);
        }
        let rows = passes.rows(&acyclic, &needs);
        reduce(&rows, &line_of(&rows))
    };
    let (order, (obstacles, risks)) = rayon::join(find_order, || {
        lookout.obstacles(found, &acyclic, &conflicts)
    });
    set.risks.extend(risks);
    let names = Names {
        members: members
            .iter()
            .map(|member| &member.source.pkgbase)
            .collect(),
        tasks,
    };
    set.edges = edges(&graph, &reach, &needs, &acyclic, &order, &names);
    set.waves = order.wave.iter().copied().max().unwrap_or(0);
    set.critical_path = order
        .longest_chain()
        .into_iter()
        .map(|task| names.key(task))
        .collect();
    // Rows are millions of bits, and giving them back takes its time too.
    let (builds, ()) = rayon::join(
        || builds(&graph, chosen, drafts, tasks, &order, &acyclic, &obstacles),
        || drop((needs, reach)),
    );
    set.builds = builds;
    set.risks.sort();
    set.risks.dedup();
    set
}

/// For each build the members it installs in a form that is not released, or
/// whose released form would not do.
fn hard_pairs(graph: &Graph<'_>, needs: &[Needs]) -> Vec<Vec<u32>> {
    let maker = |extra: usize| match graph.extras[extra] {
        Extra::Unreleased(node) => graph.nodes[node as usize].member,
        Extra::Unresolved(_) => None,
    };
    let one = |(build, needs): (usize, &Needs)| {
        let extras = needs.extras(false).into_iter();
        let unreleased = extras.filter_map(maker);
        let roots = graph.all_roots(build).filter(|root| root.to.needs_new);
        let too_old = roots.filter_map(|root| graph.nodes[root.to.chosen? as usize].member);
        let mut hard: Vec<u32> = unreleased.chain(too_old).collect();
        hard.sort_unstable();
        hard.dedup();
        hard
    };
    needs.par_iter().enumerate().map(one).collect()
}

struct Names<'n> {
    members: Vec<&'n PkgBase>,
    tasks: &'n [Task],
}

impl Names<'_> {
    /// Where a task stands in lists: members are numbered by name.
    fn place(&self, task: u32) -> (u32, u8) {
        let Task { member, pass } = self.tasks[task as usize];
        (member, pass)
    }

    fn key(&self, task: u32) -> BuildKey {
        let Task { member, pass } = self.tasks[task as usize];
        BuildKey {
            pkgbase: self.members[member as usize].clone(),
            pass,
        }
    }
}

/// The pairs of the order and those that were given up, each with its chain.
fn edges(
    graph: &Graph<'_>,
    reach: &Reach,
    needs: &[Needs],
    acyclic: &Acyclic,
    order: &Order,
    names: &Names<'_>,
) -> Vec<Edge> {
    let members = acyclic.waits_for.len();
    let mut dropped: Vec<Vec<u32>> = vec![Vec::new(); members];
    for pair in &acyclic.dropped {
        dropped[pair.build as usize].push(pair.later);
    }
    let of_task = |chains: &mut Chains<'_, '_>, task: usize| {
        let Task { member, pass } = names.tasks[task];
        let direct = &order.direct[task];
        let dropped = if pass == 1 {
            &dropped[member as usize][..]
        } else {
            &[]
        };
        // A second pass also waits for those that must find the first one: what
        // explains that is how they install it.
        let is_need = |before: u32| {
            pass == 1 || needs[member as usize].contains(names.tasks[before as usize].member)
        };
        let mut targets = Bits::new(members);
        for &before in direct.iter().filter(|&&before| is_need(before)) {
            targets.insert(names.tasks[before as usize].member as usize);
        }
        dropped
            .iter()
            .for_each(|&later| targets.insert(later as usize));
        let found = chains.find(member, targets);
        let edge = |before: u32, chain: &Chain<'_>, dropped: bool| {
            let Chain {
                kind,
                relation,
                through,
                ..
            } = chain;
            let through = through
                .iter()
                .map(|&node| graph.nodes[node as usize].package);
            Edge {
                before: names.key(before),
                after: names.key(task as u32),
                kind: *kind,
                relation: relation.text(),
                through: through.map(|package| package.pkgname().clone()).collect(),
                dropped,
            }
        };
        let kept = direct.iter().map(|&before| (before, false));
        let given_up = dropped.iter().map(|&later| (later, true));
        let mut pairs: Vec<(u32, bool)> = kept.chain(given_up).collect();
        pairs.sort_unstable_by_key(|&(before, dropped)| (names.place(before), dropped));
        let mut edges = Vec::with_capacity(pairs.len());
        let made = pairs.into_iter().filter_map(|(before, dropped)| {
            let to = names.tasks[before as usize].member;
            if let Ok(at) = found.binary_search_by_key(&to, |chain| chain.to) {
                return Some(edge(before, &found[at], dropped));
            }
            let mut own = Bits::new(members);
            own.insert(member as usize);
            let back = chains.find(to, own);
            back.first().map(|chain| edge(before, chain, dropped))
        });
        edges.extend(made);
        edges
    };
    let mut tasks: Vec<usize> = (0..names.tasks.len()).collect();
    tasks.sort_unstable_by_key(|&task| names.place(task as u32));
    tasks
        .into_par_iter()
        .map_init(|| Chains::new(graph, reach), of_task)
        .flatten_iter()
        .collect()
}

/// The members' first passes, as if nothing had to be given up for them and nothing stood in their
/// way: so it is for most, and known while cycles are still being broken.
fn drafts(ground: &Ground<'_>, graph: &Graph<'_>, chosen: &[Chosen<'_>]) -> Vec<PlannedBuild> {
    let draft = |(member, chosen): (usize, &Chosen<'_>)| PlannedBuild {
        pkgbase: chosen.source.pkgbase.clone(),
        pass: 1,
        version: chosen.version.clone(),
        pkgrel: chosen.pkgrel.clone(),
        wave: 0,
        nocheck: false,
        pkgnames: pkgnames(&chosen.source, ground.sources.on),
        refers_to: chosen.refers_to.clone(),
        because: chosen.because.clone(),
        unbuildable: None,
        install: install_list(graph, member, false, &[]),
        assumed: Vec::new(),
    };
    chosen.par_iter().enumerate().map(draft).collect()
}

/// The finished builds, sorted by pkgbase and pass.
fn builds(
    graph: &Graph<'_>,
    chosen: &[Chosen<'_>],
    mut builds: Vec<PlannedBuild>,
    tasks: &[Task],
    order: &Order,
    acyclic: &Acyclic,
    obstacles: &[[Obstacles; 2]],
) -> Vec<PlannedBuild> {
    let mut twice = vec![false; chosen.len()];
    for &Task { member, pass } in &tasks[chosen.len()..] {
        twice[member as usize] = true;
        let again = PlannedBuild {
            pass,
            ..builds[member as usize].clone()
        };
        builds.push(again);
    }
    let finish = |(task, (build, &Task { member, pass })): (usize, (&mut PlannedBuild, &Task))| {
        let chosen = &chosen[member as usize];
        let obstacles = &obstacles[member as usize][usize::from(pass - 1)];
        build.wave = order.wave[task];
        build.nocheck = pass == 1 && acyclic.nocheck[member as usize];
        if pass == 1 && twice[member as usize] {
            // That of the last pass was decided with its pkgrel.
            build.pkgrel.clone_from(&chosen.first_pkgrel);
            let pkgrel = build.pkgrel.as_deref();
            let version = pkgrel.and_then(|pkgrel| chosen.version.with_pkgrel(pkgrel).ok());
            build.version = version.unwrap_or_else(|| chosen.version.clone());
        }
        if build.nocheck || !obstacles.left_out.is_empty() {
            build.install =
                install_list(graph, member as usize, build.nocheck, &obstacles.left_out);
        }
        build.unbuildable.clone_from(&obstacles.unbuildable);
        build.assumed.clone_from(&obstacles.assumed);
    };
    let all = builds.par_iter_mut().zip(tasks);
    all.enumerate().for_each(finish);
    builds.sort_by(|a, b| (&a.pkgbase, a.pass).cmp(&(&b.pkgbase, b.pass)));
    builds
}

fn pkgnames(source: &SourcePackage, on: &Architecture) -> Vec<PkgName> {
    let mut names: Vec<PkgName> = source.pkgnames(on).map(|p| p.pkgname.clone()).collect();
    names.sort();
    names
}

/// The relations to hand to pacman, in makepkg's order, each once.
fn install_list(
    graph: &Graph<'_>,
    member: usize,
    nocheck: bool,
    left_out: &[String],
) -> Vec<String> {
    let roots = graph.all_roots(member);
    let wanted = roots.filter(|root| !(nocheck && root.kind == RelationKind::Checkdepends));
    let mut list: Vec<Root<'_, '_>> = Vec::with_capacity(32);
    for root in wanted {
        let relation = root.to.relation;
        let is_left_out = left_out.iter().any(|text| relation.is_written(text));
        if !is_left_out && list.iter().all(|known| known.number != root.number) {
            list.push(root);
        }
    }
    let texts = list.into_iter().map(|root| root.to.relation.text());
    texts.collect()
}
