//! Small made-up distributions: drawn from a seed, written as `.SRCINFO`
//! texts and released packages.

use std::fmt::Write as _;

/// A small generator of numbers, so that a seed is all a failure needs.
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound.max(1)
    }

    /// True in so many of a hundred cases.
    pub fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// A relation; the version is a whole number without pkgrel.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dep {
    pub name: String,
    pub constraint: Option<(&'static str, u32)>,
}

impl Dep {
    pub fn text(&self) -> String {
        match self.constraint {
            None => self.name.clone(),
            Some((op, version)) => format!("{}{op}{version}", self.name),
        }
    }
}

/// A provision; a soname in a source has no version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prov {
    pub name: String,
    pub version: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Split {
    pub name: String,
    /// `None` inherits the base's.
    pub depends: Option<Vec<Dep>>,
    pub provides: Vec<Prov>,
    pub conflicts: Vec<Dep>,
}

#[derive(Clone, Debug)]
pub struct Base {
    pub name: String,
    pub version: u32,
    pub pkgrel: u32,
    pub depends: Vec<Dep>,
    pub make: Vec<Dep>,
    pub check: Vec<Dep>,
    pub splits: Vec<Split>,
}

impl Base {
    pub fn depends_of<'a>(&'a self, split: &'a Split) -> &'a [Dep] {
        split.depends.as_deref().unwrap_or(&self.depends)
    }

    pub fn srcinfo(&self) -> String {
        let mut text = format!(
            "pkgbase = {}\n\tpkgver = {}\n\tpkgrel = {}\n\tarch = x86_64\n",
            self.name, self.version, self.pkgrel
        );
        let lists = [
            ("checkdepends", &self.check),
            ("makedepends", &self.make),
            ("depends", &self.depends),
        ];
        for (field, list) in lists {
            list.iter()
                .for_each(|dep| writeln!(text, "\t{field} = {}", dep.text()).unwrap());
        }
        for split in &self.splits {
            writeln!(text, "\npkgname = {}", split.name).unwrap();
            match split.depends.as_deref() {
                None => {}
                Some([]) => text.push_str("\tdepends = \n"),
                Some(list) => {
                    list.iter()
                        .for_each(|d| writeln!(text, "\tdepends = {}", d.text()).unwrap());
                }
            }
            for provision in &split.provides {
                let version = provision.version.map_or(String::new(), |v| format!("={v}"));
                writeln!(text, "\tprovides = {}{version}", provision.name).unwrap();
            }
            for dep in &split.conflicts {
                writeln!(text, "\tconflicts = {}", dep.text()).unwrap();
            }
        }
        text
    }
}

/// A released package.
#[derive(Clone, Debug)]
pub struct Rel {
    pub name: String,
    pub base: String,
    pub version: u32,
    pub pkgrel: u32,
    pub depends: Vec<Dep>,
    pub provides: Vec<Prov>,
    pub conflicts: Vec<Dep>,
}

#[derive(Clone, Debug)]
pub struct Distribution {
    /// The default branches.
    pub bases: Vec<Base>,
    /// The changed sources.
    pub changes: Vec<Base>,
    /// Released repositories; empty when the branches stand for them.
    pub repositories: Vec<Vec<Rel>>,
    /// Installed into every root.
    pub implicit: Vec<Dep>,
}

/// Draws a distribution with up to so many bases.
pub fn draw(seed: u64, size: usize) -> Distribution {
    let mut dice = Dice::new(seed);
    let count = 1 + dice.below(size);
    // Some distributions are thin, others tangled.
    let density = 1 + dice.below(4);
    let mut names: Vec<String> = Vec::new();
    let mut bases: Vec<Base> = (0..count)
        .map(|number| {
            let splits = if dice.chance(30) {
                2 + dice.below(2)
            } else {
                1
            };
            Base {
                name: format!("b{number}"),
                version: 1 + dice.below(3) as u32,
                pkgrel: 1 + dice.below(2) as u32,
                depends: Vec::new(),
                make: Vec::new(),
                check: Vec::new(),
                splits: (0..splits).map(|s| split(&mut dice, number, s)).collect(),
            }
        })
        .collect();
    if count > 1 && dice.chance(10) {
        // Two sources make a package of the same name.
        let twin = bases[0].splits[0].clone();
        bases[count - 1].splits.push(twin);
    }
    for split in bases.iter().flat_map(|base| &base.splits) {
        names.push(split.name.clone());
        names.extend(
            split
                .provides
                .iter()
                .map(|provision| provision.name.clone()),
        );
    }
    names.push("nowhere".to_owned());
    for base in &mut bases {
        base.depends = deps(&mut dice, &names, density);
        if dice.chance(60) {
            base.make = deps(&mut dice, &names, density);
        }
        if dice.chance(40) {
            base.check = deps(&mut dice, &names, density);
        }
        for split in &mut base.splits {
            if dice.chance(35) {
                split.depends = Some(deps(&mut dice, &names, density));
            }
            if dice.chance(10) {
                split.conflicts = deps(&mut dice, &names, 1);
            }
        }
    }
    let repositories = if dice.chance(50) {
        released(&mut dice, &bases, &names)
    } else {
        Vec::new()
    };
    let changes = changes(&mut dice, &bases, &names);
    let implicit = if dice.chance(40) {
        deps(&mut dice, &names, 1)
    } else {
        Vec::new()
    };
    Distribution {
        bases,
        changes,
        repositories,
        implicit,
    }
}

fn split(dice: &mut Dice, base: usize, number: usize) -> Split {
    let name = match number {
        0 => format!("b{base}"),
        _ => format!("b{base}-s{number}"),
    };
    let mut provides = Vec::new();
    if dice.chance(30) {
        provides.push(Prov {
            name: format!("lib{base}{number}.so"),
            version: None,
        });
    }
    if dice.chance(30) {
        provides.push(Prov {
            name: format!("virtual{}", dice.below(3)),
            version: dice.chance(50).then(|| 1 + dice.below(3) as u32),
        });
    }
    Split {
        name,
        depends: None,
        provides,
        conflicts: Vec::new(),
    }
}

fn deps(dice: &mut Dice, names: &[String], density: usize) -> Vec<Dep> {
    let mut list: Vec<Dep> = (0..dice.below(density + 1))
        .map(|_| {
            let at = if dice.chance(3) {
                names.len() - 1
            } else {
                dice.below(names.len() - 1)
            };
            let constrained = dice.chance(20) && !names[at].ends_with(".so");
            let op = ["<", "<=", "=", ">=", ">"][dice.below(5)];
            Dep {
                name: names[at].clone(),
                constraint: constrained.then(|| (op, 1 + dice.below(3) as u32)),
            }
        })
        .collect();
    list.sort();
    list.dedup();
    list
}

/// What is released of the branches: mostly the same, sometimes older, with
/// other relations, or not at all. Sonames have numbers here.
fn released(dice: &mut Dice, bases: &[Base], names: &[String]) -> Vec<Vec<Rel>> {
    let mut repositories = vec![Vec::new(); 1 + dice.below(2)];
    for base in bases {
        if dice.chance(12) {
            continue;
        }
        let older = dice.chance(25);
        let at = dice.below(repositories.len());
        for split in &base.splits {
            if dice.chance(4) || repositories[at].iter().any(|r: &Rel| r.name == split.name) {
                continue;
            }
            let mut depends = base.depends_of(split).to_vec();
            if dice.chance(10) {
                depends = deps(dice, names, 2);
            }
            for dep in &mut depends {
                if dep.name.ends_with(".so") {
                    dep.constraint = Some(("=", 1));
                }
            }
            let mut provides = split.provides.clone();
            for provision in &mut provides {
                if provision.name.ends_with(".so") {
                    provision.version = Some(1);
                }
            }
            repositories[at].push(Rel {
                name: split.name.clone(),
                base: base.name.clone(),
                version: if older {
                    base.version.max(2) - 1
                } else {
                    base.version
                },
                pkgrel: base.pkgrel,
                depends,
                provides,
                conflicts: split.conflicts.clone(),
            });
        }
    }
    repositories
}

/// One to three changed sources: other versions, relations, packages.
fn changes(dice: &mut Dice, bases: &[Base], names: &[String]) -> Vec<Base> {
    let mut changes: Vec<Base> = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let mut base = bases[dice.below(bases.len())].clone();
        if changes.iter().any(|change| change.name == base.name) {
            continue;
        }
        if dice.chance(60) {
            base.version += 1;
            base.pkgrel = 1;
        }
        if dice.chance(20) {
            base.depends = deps(dice, names, 2);
        }
        if dice.chance(15) && base.splits.len() > 1 {
            base.splits.pop();
        }
        if dice.chance(15) {
            base.splits[0].provides.clear();
        }
        if dice.chance(15) {
            let name = format!("virtual{}", dice.below(3));
            base.splits[0]
                .provides
                .retain(|provision| provision.name != name);
            base.splits[0].provides.push(Prov {
                name,
                version: Some(2),
            });
        }
        changes.push(base);
    }
    if dice.chance(15) {
        changes.push(Base {
            name: "new".to_owned(),
            version: 1,
            pkgrel: 1,
            depends: deps(dice, names, 2),
            make: deps(dice, names, 1),
            check: Vec::new(),
            splits: vec![split(dice, 900, 0)],
        });
    }
    changes
}
