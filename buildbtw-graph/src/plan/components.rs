//! Strongly connected parts (Tarjan's algorithm, without recursion).

use super::bits::Bits;

/// The strongly connected part of each node. Parts are numbered so that all
/// that a part leads to, outside itself, has lower numbers.
pub(super) struct Components {
    /// The part of each node.
    pub of: Vec<u32>,
    /// The number of parts.
    pub count: usize,
}

impl Components {
    /// The nodes of each part, rising.
    pub fn members(&self) -> Members {
        let mut ends = vec![0u32; self.count + 1];
        for &part in &self.of {
            ends[part as usize + 1] += 1;
        }
        for part in 0..self.count {
            ends[part + 1] += ends[part];
        }
        let mut next = ends.clone();
        let mut nodes = vec![0; self.of.len()];
        for (node, &part) in self.of.iter().enumerate() {
            let at = &mut next[part as usize];
            nodes[*at as usize] = node as u32;
            *at += 1;
        }
        Members { ends, nodes }
    }
}

/// The nodes of all parts, one part after the other.
pub(super) struct Members {
    /// Where each part ends, after a 0.
    ends: Vec<u32>,
    nodes: Vec<u32>,
}

impl Members {
    /// The nodes of each part, by the part's number.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let ends = self.ends.windows(2);
        ends.map(|ends| &self.nodes[ends[0] as usize..ends[1] as usize])
    }
}

/// Finds the strongly connected parts of a graph with `nodes` nodes.
///
/// `next` is asked for the successors of a node one by one: given a node and
/// where the last answer ended (0 at first), it answers the next successor and
/// where to go on.
pub(super) fn components(
    nodes: usize,
    mut next: impl FnMut(usize, usize) -> Option<(usize, usize)>,
) -> Components {
    const UNSEEN: u32 = u32::MAX;
    let mut index = vec![UNSEEN; nodes];
    let mut low = vec![0u32; nodes];
    let mut of = vec![UNSEEN; nodes];
    let mut open = Vec::new();
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut visited = 0;
    let mut count = 0;
    for root in 0..nodes {
        if index[root] != UNSEEN {
            continue;
        }
        path.push((root, 0));
        while let Some(&mut (node, ref mut at)) = path.last_mut() {
            if index[node] == UNSEEN {
                index[node] = visited;
                low[node] = visited;
                visited += 1;
                open.push(node);
            }
            match next(node, *at) {
                Some((successor, after)) => {
                    *at = after;
                    if index[successor] == UNSEEN {
                        path.push((successor, 0));
                    } else if of[successor] == UNSEEN {
                        low[node] = low[node].min(index[successor]);
                    }
                }
                None => {
                    path.pop();
                    if let Some(&(parent, _)) = path.last() {
                        low[parent] = low[parent].min(low[node]);
                    }
                    if low[node] == index[node] {
                        while let Some(member) = open.pop() {
                            of[member] = count;
                            if member == node {
                                break;
                            }
                        }
                        count += 1;
                    }
                }
            }
        }
    }
    Components {
        of,
        count: count as usize,
    }
}

/// Finds the strongly connected parts of a graph with many edges, given the
/// successors of each node (Gabow's algorithm).
///
/// The nodes that are open, on the way or behind it, lie in groups, one upon
/// the other, that are parts already as far as is known. Sets of nodes are
/// united and passed over 64 at a time.
pub(super) fn components_of_rows(rows: &[Bits]) -> Components {
    const UNSEEN: u32 = u32::MAX;
    let nodes = rows.len();
    let mut unseen = Bits::full(nodes);
    let mut of = vec![UNSEEN; nodes];
    // Each group with the node that it began with.
    let mut groups: Vec<(usize, Bits)> = Vec::new();
    // The open nodes below the topmost group.
    let mut below = Bits::new(nodes);
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut count = 0;
    for root in 0..nodes {
        if !unseen.contains(root) {
            continue;
        }
        let mut enter = Some(root);
        while let Some(node) = enter.or(path.last().map(|&(node, _)| node)) {
            if enter.take().is_some() {
                unseen.remove(node);
                if let Some((_, group)) = groups.last() {
                    below.unite(group);
                }
                let mut group = Bits::new(nodes);
                group.insert(node);
                groups.push((node, group));
                path.push((node, 0));
            }
            if let Some((_, at)) = path.last_mut()
                && let Some(next) = rows[node].next_in_both(&unseen, *at)
            {
                *at = next;
                enter = Some(next);
                continue;
            }
            path.pop();
            // All that can be reached was visited. What leads to a group below
            // closes a cycle, and all groups down to that one are one part.
            while rows[node].meets(&below)
                && let Some((_, group)) = groups.pop()
                && let Some((_, lower)) = groups.last_mut()
            {
                below.subtract(lower);
                lower.unite(&group);
            }
            if let Some((_, group)) = groups.pop_if(|&mut (first, _)| first == node) {
                group.iter().for_each(|member| of[member] = count);
                count += 1;
                if let Some((_, group)) = groups.last() {
                    below.subtract(group);
                }
            }
        }
    }
    Components {
        of,
        count: count as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_parts_in_order() {
        // 0 -> 1 <-> 2 -> 3, 4 alone
        let edges: [&[usize]; 5] = [&[1], &[2], &[1, 3], &[], &[]];
        let parts = components(5, |node, at| edges[node].get(at).map(|&to| (to, at + 1)));
        assert_eq!(parts.count, 4);
        assert_eq!(parts.of[1], parts.of[2]);
        assert!(parts.of[3] < parts.of[1] && parts.of[1] < parts.of[0]);
        let members = parts.members();
        let part = members.iter().nth(parts.of[1] as usize);
        assert_eq!(part, Some(&[1, 2][..]));
    }

    #[test]
    fn finds_the_same_parts_of_rows() {
        let mut state = 1u64;
        for size in 1..120 {
            let mut rows = vec![Bits::new(size); size];
            for _ in 0..size * 3 / 2 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let (from, to) = ((state >> 33) as usize % size, (state >> 13) as usize % size);
                rows[from].insert(to);
            }
            let next = |node: usize, at| rows[node].next_from(at).map(|to| (to, to + 1));
            let (sparse, dense) = (components(size, next), components_of_rows(&rows));
            let parts = |parts: &Components| {
                let members = parts.members();
                let mut members: Vec<Vec<u32>> = members.iter().map(<[u32]>::to_vec).collect();
                members.sort();
                members
            };
            assert_eq!(parts(&sparse), parts(&dense));
            for (node, row) in rows.iter().enumerate() {
                assert!(row.iter().all(|other| dense.of[other] <= dense.of[node]));
            }
        }
    }
}
