//! Keeps a log within its limit: the head as it comes, and the tail.

use std::collections::VecDeque;

use bytes::Bytes;

/// How much is kept of what comes after the limit, in bytes. It is what a build writes while it is
/// being ended, and it is where an error stands.
const TAIL: usize = 64 << 10;

/// Counts a log's bytes.
#[derive(Debug)]
pub struct LogLimit {
    left: u64,
    tail: VecDeque<u8>,
    over: u64,
}

impl LogLimit {
    /// A log of so many bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            left: limit,
            tail: VecDeque::new(),
            over: 0,
        }
    }

    /// Takes the next bytes and hands back what is to be passed on now.
    pub fn take(&mut self, mut bytes: Bytes) -> Bytes {
        let within = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let passed = bytes.split_to(within);
        self.left -= within as u64;
        self.over += bytes.len() as u64;
        self.tail.extend(&bytes);
        let surplus = self.tail.len().saturating_sub(TAIL);
        self.tail.drain(..surplus);
        passed
    }

    /// Whether there was more than the limit allows.
    pub fn is_exceeded(&self) -> bool {
        self.over > 0
    }

    /// What is to be passed on at the end: the tail, and before it a word about what is missing.
    pub fn finish(&mut self) -> Option<Bytes> {
        let missing = self.over - self.tail.len() as u64;
        if self.over == 0 {
            return None;
        }
        let tail: Vec<u8> = std::mem::take(&mut self.tail).into();
        let mut text = Vec::with_capacity(tail.len() + 80);
        if missing > 0 {
            text.extend(
                format!("\nbuildbtw: {missing} bytes of the log are left out here\n").bytes(),
            );
        }
        text.extend(tail);
        Some(text.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_log_passes_as_it_is() {
        let mut limit = LogLimit::new(5);
        assert_eq!(limit.take(Bytes::from_static(b"hello")), "hello");
        assert!(!limit.is_exceeded());
        assert_eq!(limit.finish(), None);
    }

    #[test]
    fn head_and_tail_of_a_long_log_are_kept() {
        let mut limit = LogLimit::new(5);
        assert_eq!(limit.take(Bytes::from_static(b"hello world")), "hello");
        assert!(limit.is_exceeded());
        for _ in 0..3 {
            assert!(limit.take(vec![b'x'; TAIL].into()).is_empty());
        }
        assert!(limit.take(Bytes::from_static(b"the end")).is_empty());
        let end = limit.finish().unwrap();
        let missing = 6 + 3 * TAIL + 7 - TAIL;
        assert!(end.starts_with(format!("\nbuildbtw: {missing} bytes").as_bytes()));
        assert!(end.ends_with(b"xthe end"));
    }
}
