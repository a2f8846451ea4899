//! Parts of a graph whose nodes all lead to each other (Gabow's algorithm).

/// The part of each node. What a part leads to has lower numbers.
pub(super) struct Parts {
    pub of: Vec<u32>,
    /// All nodes, part by part, with the end of each part.
    pub nodes: Vec<u32>,
    pub ends: Vec<u32>,
}

/// Finds the parts of a graph that is given by the successors of each node.
pub(super) fn parts<'g>(nodes: usize, successors: impl Fn(usize) -> &'g [u32]) -> Parts {
    const NONE: u32 = u32::MAX;
    let mut preorder = vec![NONE; nodes];
    let mut of = vec![NONE; nodes];
    let (mut order, mut ends) = (Vec::with_capacity(nodes), Vec::new());
    // Nodes without a part yet, and those among them that may begin one.
    let (mut waiting, mut heads): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    let mut path: Vec<(usize, usize)> = Vec::new();
    let mut count = 0;
    for start in 0..nodes {
        if preorder[start] != NONE {
            continue;
        }
        path.push((start, 0));
        while let Some((node, at)) = path.pop() {
            if at == 0 {
                preorder[node] = count;
                count += 1;
                waiting.push(node as u32);
                heads.push(node as u32);
            }
            if let Some(&next) = successors(node).get(at) {
                path.push((node, at + 1));
                let next = next as usize;
                if preorder[next] == NONE {
                    path.push((next, 0));
                } else if of[next] == NONE {
                    // A way back: all heads since then are in one part.
                    while heads
                        .last()
                        .is_some_and(|&head| preorder[head as usize] > preorder[next])
                    {
                        heads.pop();
                    }
                }
            } else if heads.last() == Some(&(node as u32)) {
                heads.pop();
                while let Some(member) = waiting.pop() {
                    of[member as usize] = ends.len() as u32;
                    order.push(member);
                    if member as usize == node {
                        break;
                    }
                }
                ends.push(order.len() as u32);
            }
        }
    }
    Parts {
        of,
        nodes: order,
        ends,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_are_one_part_and_come_after_what_they_lead_to() {
        // 0 <-> 1 -> 2 -> 3 -> 2, 4 -> 4, 5 -> 0
        let graph: [&[u32]; 6] = [&[1], &[0, 2], &[3], &[2], &[4], &[0, 4]];
        let found = parts(6, |node| graph[node]);
        assert_eq!(found.of, [1, 1, 0, 0, 2, 3]);
        assert_eq!(found.ends, [2, 4, 5, 6]);
    }
}
