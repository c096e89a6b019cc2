//! The name that was probably meant.
//!
//! Not here: which names there are (`table`, `flags`).

/// The name that was probably meant: the one with the fewest letters to change, if they are few.
pub fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Nobody means one of the names with so long a word, and the table below grows with it.
    const TYPED_MAX: usize = 64;
    let typed = typed.trim_start_matches('-').to_lowercase();
    if typed.len() > TYPED_MAX {
        return None;
    }
    names
        .map(|name| (distance(&typed, &name.to_lowercase()), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .map(|(_, name)| name)
}

/// How many letters to insert, remove, replace or swap with their neighbour (optimal string alignment).
fn distance(from: &str, to: &str) -> usize {
    let from: Vec<char> = from.chars().collect();
    let to: Vec<char> = to.chars().collect();
    // The rows of the table that are still asked for: the one before the last, the last, and the next.
    let mut older = vec![0; to.len() + 1];
    let mut last: Vec<usize> = (0..=to.len()).collect();
    let mut next = vec![0; to.len() + 1];
    for i in 0..from.len() {
        next[0] = i + 1;
        for j in 0..to.len() {
            let replaced = last[j] + usize::from(from[i] != to[j]);
            next[j + 1] = replaced.min(last[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && from[i] == to[j - 1] && from[i - 1] == to[j] {
                next[j + 1] = next[j + 1].min(older[j - 1] + 1);
            }
        }
        std::mem::swap(&mut older, &mut last);
        std::mem::swap(&mut last, &mut next);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (from, to, expected) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("timeout", "timeout", 0),
            ("timeuot", "timeout", 1),
            ("rnu", "run", 1),
            ("ca", "abc", 3),
        ] {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn few_wrong_letters_are_taken_for_a_mistake() {
        let names = ["maxConnections", "timeout", "ttl"];
        for (typed, expected) in [
            ("maxconections", Some("maxConnections")),
            ("--timeuot", Some("timeout")),
            ("tl", Some("ttl")),
            ("frobnicate", None),
        ] {
            assert_eq!(nearest(typed, names.into_iter()), expected, "{typed}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), names.into_iter()), None);
    }
}
