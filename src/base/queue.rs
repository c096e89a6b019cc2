//! A queue with a limit: first in, first out, and a full one gives the item back.
//!
//! Not here: the order in which jobs get a connection (`engine/queue`).

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;

/// At most so many items, the oldest first.
#[derive(Clone, Debug)]
pub struct Queue<T> {
    items: VecDeque<T>,
    limit: usize,
}

impl<T> Queue<T> {
    /// An empty queue for at most `limit` items. Allocates as it fills, not before.
    #[must_use]
    pub const fn new(limit: usize) -> Queue<T> {
        Queue {
            items: VecDeque::new(),
            limit,
        }
    }

    /// Appends the item.
    ///
    /// # Errors
    /// The item itself, if the queue is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        self.items.push_back(item);
        Ok(())
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop_front()
    }

    /// The oldest item.
    pub fn front_mut(&mut self) -> Option<&mut T> {
        self.items.front_mut()
    }

    /// The oldest item.
    #[must_use]
    pub fn front(&self) -> Option<&T> {
        self.items.front()
    }

    /// All items, the oldest first.
    pub fn iter(&self) -> Iter<'_, T> {
        self.items.iter()
    }

    /// How many items are in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether the next push would give its item back.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.items.len() >= self.limit
    }

    /// How many items it may hold.
    #[must_use]
    pub const fn limit(&self) -> usize {
        self.limit
    }

    /// How many items it could take now.
    #[must_use]
    pub fn room(&self) -> usize {
        self.limit - self.items.len()
    }
}

impl<'a, T> IntoIterator for &'a Queue<T> {
    type Item = &'a T;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out() {
        let mut queue = Queue::new(3);
        assert_eq!(queue.pop(), None);
        for round in 0..10 {
            assert_eq!(queue.push(round), Ok(()));
            assert_eq!(queue.push(round + 100), Ok(()));
            assert_eq!(queue.front(), Some(&round));
            if let Some(front) = queue.front_mut() {
                *front += 1;
            }
            assert_eq!(
                queue.iter().collect::<Vec<_>>(),
                [&(round + 1), &(round + 100)]
            );
            assert_eq!(queue.pop(), Some(round + 1));
            assert_eq!(queue.pop(), Some(round + 100));
            assert!(queue.is_empty());
        }
    }

    #[test]
    fn a_full_queue_gives_the_item_back() {
        let mut queue = Queue::new(2);
        assert_eq!(queue.push('a'), Ok(()));
        assert_eq!((queue.len(), queue.room(), queue.is_full()), (1, 1, false));
        assert_eq!(queue.push('b'), Ok(()));
        assert_eq!((queue.len(), queue.room(), queue.is_full()), (2, 0, true));
        assert_eq!(queue.push('c'), Err('c'));
        assert_eq!(queue.pop(), Some('a'));
        assert_eq!(queue.push('c'), Ok(()));
        assert_eq!((&queue).into_iter().collect::<String>(), "bc");
        assert_eq!(queue.limit(), 2);
    }

    #[test]
    fn a_limit_of_nothing_takes_nothing() {
        let mut queue = Queue::new(0);
        assert!(queue.is_full() && queue.is_empty());
        assert_eq!(queue.push(1), Err(1));
    }
}
