//! The first answers of one client, in the order of its lines, although some come later than others.
//!
//! An answer that can't be given at once keeps its place ([`Answers::expect`]); what comes after it waits behind it,
//! and results wait behind the answer to their own line. As a rule nothing is expected, and then all goes straight
//! to the results.
//!
//! Not here: what is answered (`mod`, `reading`, `control`), how much may wait (`client`).

use std::collections::VecDeque;

/// What waits for an answer before it. Empty: nothing does.
#[derive(Debug, Default)]
pub(super) struct Answers {
    waiting: VecDeque<Answer>,
    /// Bytes that wait.
    bytes: usize,
}

/// The answers to the lines from `first` to `last`, and the results that follow them.
#[derive(Debug)]
struct Answer {
    first: u64,
    last: u64,
    /// They are there, and only wait for those before them.
    is_given: bool,
    bytes: Vec<u8>,
    /// Results that came before the answer that they follow: a duplicate's first has ended.
    early: Vec<u8>,
}

impl Answers {
    /// The answer to this line, which is later than all before, will be given later.
    pub(super) fn expect(&mut self, line: u64) {
        self.waiting.push_back(Answer {
            first: line,
            last: line,
            is_given: false,
            bytes: Vec::new(),
            early: Vec::new(),
        });
    }

    /// Writes the answer to this line, or a part of it; what may be read now goes to `results`.
    pub(super) fn give<T>(
        &mut self,
        line: u64,
        results: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        let Some(at) = self.find(line) else {
            return self.append(line, results, write);
        };
        let written = self.write(at, write);
        let answer = &mut self.waiting[at];
        answer.is_given = true;
        answer.bytes.append(&mut answer.early);
        while self.waiting.front().is_some_and(|answer| answer.is_given) {
            if let Some(mut answer) = self.waiting.pop_front() {
                self.bytes -= answer.bytes.len();
                results.append(&mut answer.bytes);
            }
        }
        written
    }

    /// Writes what follows the answer to this line.
    pub(super) fn tell(
        &mut self,
        line: u64,
        results: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        let Some(at) = self.find(line) else {
            return write(results);
        };
        if self.waiting[at].is_given {
            return self.write(at, write);
        }
        let early = &mut self.waiting[at].early;
        let before = early.len();
        write(early);
        self.bytes += early.len() - before;
    }

    /// Forgets what waits, and shows it to `see`; the places stay.
    pub(super) fn clear(&mut self, mut see: impl FnMut(&[u8])) {
        for answer in &mut self.waiting {
            for bytes in [&mut answer.bytes, &mut answer.early] {
                see(&std::mem::take(bytes));
            }
        }
        self.bytes = 0;
    }

    /// Bytes that wait.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether no answer is expected.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// The answer to a line that none is expected for: behind those that are.
    fn append<T>(
        &mut self,
        line: u64,
        results: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> T,
    ) -> T {
        let Some(last) = self.waiting.back_mut() else {
            return write(results);
        };
        if last.is_given {
            let before = last.bytes.len();
            let written = self.write(self.waiting.len() - 1, write);
            let last = self.waiting.back_mut().expect("it was there above");
            // Of a line without an answer one may be expected from now on: that is a place of its own.
            if last.bytes.len() > before {
                last.last = line;
            }
            return written;
        }
        let mut bytes = Vec::new();
        let written = write(&mut bytes);
        // Not every line has an answer: blank ones have none, and of others it is expected from now on.
        if !bytes.is_empty() {
            self.bytes += bytes.len();
            self.waiting.push_back(Answer {
                first: line,
                last: line,
                is_given: true,
                bytes,
                early: Vec::new(),
            });
        }
        written
    }

    fn write<T>(&mut self, at: usize, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        let bytes = &mut self.waiting[at].bytes;
        let before = bytes.len();
        let written = write(bytes);
        self.bytes += bytes.len() - before;
        written
    }

    /// Where the answer to this line waits, if it does.
    fn find(&self, line: u64) -> Option<usize> {
        let at = self.waiting.partition_point(|answer| answer.last < line);
        let answer = self.waiting.get(at)?;
        (answer.first <= line).then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleared(answers: &mut Answers) -> usize {
        let mut lines = 0;
        answers.clear(|bytes| lines += bytes.split(|byte| *byte == b'\n').count() - 1);
        lines
    }

    fn give(answers: &mut Answers, line: u64, results: &mut Vec<u8>, text: &str) {
        answers.give(line, results, |out| out.extend_from_slice(text.as_bytes()));
    }

    fn tell(answers: &mut Answers, line: u64, results: &mut Vec<u8>, text: &str) {
        answers.tell(line, results, |out| out.extend_from_slice(text.as_bytes()));
    }

    #[test]
    fn where_none_is_expected_all_goes_straight_through() {
        let (mut answers, mut results) = (Answers::default(), Vec::new());
        give(&mut answers, 1, &mut results, "a1 ");
        tell(&mut answers, 1, &mut results, "r1 ");
        give(&mut answers, 3, &mut results, "a3 ");
        assert_eq!(results, b"a1 r1 a3 ");
        assert!(answers.is_empty() && answers.bytes() == 0);
    }

    #[test]
    fn answers_keep_their_order_and_results_follow_their_own() {
        let (mut answers, mut results) = (Answers::default(), Vec::new());
        give(&mut answers, 1, &mut results, "a1 ");
        answers.expect(2);
        give(&mut answers, 3, &mut results, "a3 ");
        give(&mut answers, 4, &mut results, "a4 ");
        answers.expect(6);
        give(&mut answers, 7, &mut results, "");
        tell(&mut answers, 1, &mut results, "r1 ");
        tell(&mut answers, 4, &mut results, "r4 ");
        assert_eq!(results, b"a1 r1 ", "the others wait for the second");
        give(&mut answers, 6, &mut results, "a6 ");
        tell(&mut answers, 6, &mut results, "r6 ");
        assert_eq!(answers.bytes(), 15);
        give(&mut answers, 2, &mut results, "a2 ");
        assert_eq!(results, b"a1 r1 a2 a3 a4 r4 a6 r6 ");
        assert!(answers.is_empty() && answers.bytes() == 0);
        tell(&mut answers, 2, &mut results, "r2 ");
        assert!(results.ends_with(b"r2 "));
    }

    #[test]
    fn an_answer_that_is_expected_behind_a_given_one_has_its_own_place() {
        let (mut answers, mut results) = (Answers::default(), Vec::new());
        answers.expect(1);
        give(&mut answers, 2, &mut results, "a2 ");
        give(&mut answers, 3, &mut results, "");
        answers.expect(3);
        give(&mut answers, 4, &mut results, "a4 ");
        give(&mut answers, 3, &mut results, "a3 ");
        give(&mut answers, 1, &mut results, "a1 ");
        assert_eq!(results, b"a1 a2 a3 a4 ");
        assert!(answers.is_empty(), "nothing waits for ever");
    }

    #[test]
    fn a_result_that_is_there_before_its_answer_follows_it() {
        let (mut answers, mut results) = (Answers::default(), Vec::new());
        answers.expect(1);
        answers.expect(2);
        tell(&mut answers, 2, &mut results, "r2\n");
        assert_eq!(answers.bytes(), 3);
        give(&mut answers, 2, &mut results, "a2\n");
        give(&mut answers, 1, &mut results, "a1\n");
        assert_eq!(results, b"a1\na2\nr2\n");
        assert!(answers.is_empty() && answers.bytes() == 0);
        answers.expect(3);
        tell(&mut answers, 3, &mut results, "r3\n");
        assert_eq!((cleared(&mut answers), answers.bytes()), (1, 0));
    }

    #[test]
    fn what_nobody_reads_is_forgotten_and_its_places_are_not() {
        let (mut answers, mut results) = (Answers::default(), Vec::new());
        answers.expect(1);
        give(&mut answers, 2, &mut results, "a2\n");
        assert_eq!((cleared(&mut answers), answers.bytes()), (1, 0));
        give(&mut answers, 1, &mut results, "a1\n");
        assert_eq!(results, b"a1\n");
        assert!(answers.is_empty());
    }
}
