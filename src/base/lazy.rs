//! A value that takes memory only while there is something in it.
//!
//! It reads as an empty one for as long as nobody writes to it, and [`Lazy::rest`] gives the memory back.
//!
//! Not here: whose memory that is (`engine/origin`).

use std::ops::{Deref, DerefMut};

/// What has a value with nothing in it, which all can read.
pub trait Empty: Default + 'static {
    /// That.
    const EMPTY: &'static Self;
}

/// A value that is boxed with the first write.
#[derive(Debug, Default)]
pub struct Lazy<T>(Option<Box<T>>);

impl<T: Empty> Lazy<T> {
    /// Forgets what is in it, with all that it holds.
    pub fn rest(&mut self) {
        self.0 = None;
    }

    /// Whether it takes memory.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        self.0.is_some()
    }
}

impl<T: Empty> Deref for Lazy<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Lazy<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Empty for Vec<u8> {
        const EMPTY: &'static Vec<u8> = &Vec::new();
    }

    #[test]
    fn it_is_held_from_the_first_write_until_it_rests() {
        let mut lazy = Lazy::<Vec<u8>>::default();
        assert_eq!((lazy.len(), lazy.is_held()), (0, false));
        lazy.push(1);
        assert_eq!((lazy.len(), lazy.is_held()), (1, true));
        lazy.rest();
        assert_eq!((lazy.len(), lazy.is_held()), (0, false));
    }
}
