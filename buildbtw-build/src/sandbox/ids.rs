//! Which users there are inside a sandbox, and who they are outside.

use std::fmt::Write as _;

use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

/// The user that builds, as it is seen inside. No distribution gives this number to anybody: the
/// kernel and other programs tell users apart by it, so it must not be that of a person.
pub const BUILD_UID: u32 = 60_700;

/// The first of the numbers that users inside have outside, when a sandbox is set up by root.
/// It lies above the numbers that systemd, container managers and `/etc/subuid` hand out.
const BASE: u32 = 1_900_000_000;

/// How many users there are inside.
const COUNT: u32 = 65_536;

/// Who the users inside are outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Users {
    /// A range of users that exist nowhere else. Only root can set that up.
    Range {
        /// Number 0 inside is this number outside.
        base: u32,
    },
    /// Number 0 inside is the user who builds, and there is no other. The build itself sees that
    /// user under another number, since makepkg refuses to run as number 0.
    One {
        /// The user outside.
        uid: u32,
        /// The group outside.
        gid: u32,
    },
}

impl Users {
    /// What this process may set up.
    pub fn choose() -> Self {
        let uid = Uid::effective();
        let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
        let room = |path| std::fs::read_to_string(path).is_ok_and(|map| has_room(&map));
        if uid.is_root() && may_set_ids() && maps.into_iter().all(room) {
            Self::Range { base: BASE }
        } else {
            Self::alone()
        }
    }

    /// Only the user of this process.
    pub fn alone() -> Self {
        Self::One {
            uid: Uid::effective().as_raw(),
            gid: nix::unistd::Gid::effective().as_raw(),
        }
    }

    /// The number outside of number 0 inside.
    pub fn root_outside(self) -> (u32, u32) {
        match self {
            Self::Range { base } => (base, base),
            Self::One { uid, gid } => (uid, gid),
        }
    }

    /// The texts for `uid_map` and `gid_map`.
    pub fn maps(self) -> (String, String) {
        let (uid, gid) = self.root_outside();
        let count = match self {
            Self::Range { .. } => COUNT,
            Self::One { .. } => 1,
        };
        let line = |outside| {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = writeln!(text, "0 {outside} {count}");
            text
        };
        (line(uid), line(gid))
    }

    /// Whether the build's user has a number of its own, so that it need not be hidden behind a
    /// further user namespace.
    pub fn has_build_user(self) -> bool {
        matches!(self, Self::Range { .. })
    }
}

/// Whether the range is to be had in the user namespace that this map describes.
fn has_room(map: &str) -> bool {
    let end = u64::from(BASE) + u64::from(COUNT);
    map.lines().any(|line| {
        let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
        match (numbers.next(), numbers.next(), numbers.next()) {
            (Some(Ok(inside)), Some(Ok(_)), Some(Ok(count))) => {
                inside <= u64::from(BASE) && inside.saturating_add(count) >= end
            }
            _ => false,
        }
    })
}

/// Whether root has its powers here: in a container it may not.
fn may_set_ids() -> bool {
    const CHOWN: u64 = 1 << 0;
    const SETGID: u64 = 1 << 6;
    const SETUID: u64 = 1 << 7;
    const SYS_ADMIN: u64 = 1 << 21;
    let needed = CHOWN | SETGID | SETUID | SYS_ADMIN;
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return false;
    };
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|value| u64::from_str_radix(value.trim(), 16).ok());
    effective.is_some_and(|have| have & needed == needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_found_where_the_range_is_mapped() {
        assert!(has_room("         0          0 4294967295\n"));
        assert!(has_room("0 100000 65536\n1900000000 200000 65536\n"));
        for map in ["0 100000 65536\n", "0 1000 1\n", "", "rubbish\n"] {
            assert!(!has_room(map), "{map:?}");
        }
    }

    #[test]
    fn one_user_is_mapped_alone() {
        let users = Users::One {
            uid: 1000,
            gid: 100,
        };
        assert_eq!(
            users.maps(),
            ("0 1000 1\n".to_owned(), "0 100 1\n".to_owned())
        );
        assert!(!users.has_build_user());
    }
}
