//! A source file cut into words, and the paths that it names.
//!
//! A reader of words, not a parser: it knows comments, literals, braces of inline modules and use groups, and
//! that is all the walls need. Paths out of macros count like any others.

/// A word or a character of the code, and its line.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
}

/// A path as the code names it, from the root of the crate if it is ours, and the line of its last word.
#[derive(Debug, PartialEq)]
pub(crate) struct Named {
    pub(crate) path: Vec<String>,
    pub(crate) ours: bool,
    pub(crate) line: usize,
}

/// `src/engine/queue.rs` is `[engine, queue]`.
pub(crate) fn module_of(file: &str) -> Vec<String> {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    let stem = inner.strip_suffix(".rs").unwrap_or(inner);
    let mut module: Vec<String> = stem.split('/').map(str::to_owned).collect();
    let last = module.last().map(String::as_str);
    if last == Some("mod") || matches!(stem, "lib" | "main") {
        module.pop();
    }
    module
}

/// Every path of two words or more, use groups spread out.
pub(crate) fn named_paths(module: &[String], tokens: &[Token]) -> Vec<Named> {
    let mut named = Vec::new();
    // The names of the inline modules around; the empty name for other braces.
    let mut braces: Vec<&str> = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "{" => {
                let is_module = at >= 2 && tokens[at - 2].text == "mod";
                braces.push(if is_module { &tokens[at - 1].text } else { "" });
            }
            "}" => {
                braces.pop();
            }
            _ if is_word(tokens, at) && is_separator(tokens, at + 1) => {
                let mut here = module.to_vec();
                here.extend(
                    braces
                        .iter()
                        .filter(|name| !name.is_empty())
                        .map(|name| (*name).to_owned()),
                );
                let mut spread = Vec::new();
                spread_path(tokens, &mut at, &[], &mut spread);
                named.extend(
                    spread
                        .into_iter()
                        .map(|(path, line)| resolve(&here, path, line)),
                );
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    named
}

/// Follows the path, or group of paths, at `at`, and leaves `at` behind it.
fn spread_path(
    tokens: &[Token],
    at: &mut usize,
    before: &[String],
    spread: &mut Vec<(Vec<String>, usize)>,
) {
    let mut path = before.to_vec();
    let mut line = 0;
    while is_word(tokens, *at) || text_at(tokens, *at) == "*" && !path.is_empty() {
        path.push(tokens[*at].text.clone());
        line = tokens[*at].line;
        *at += 1;
        if !is_separator(tokens, *at) {
            spread.push((path, line));
            return;
        }
        *at += 2;
    }
    if text_at(tokens, *at) != "{" {
        // A turbofish or the like: the path ends here.
        spread.push((path, line));
        return;
    }
    *at += 1;
    while *at < tokens.len() && text_at(tokens, *at) != "}" {
        match text_at(tokens, *at) {
            "as" => *at += 2,
            _ if is_word(tokens, *at) || text_at(tokens, *at) == "*" => {
                spread_path(tokens, at, &path, spread)
            }
            _ => *at += 1,
        }
    }
    *at += 1;
}

/// Turns a path seen in the module `here` into one from its root.
fn resolve(here: &[String], path: Vec<String>, line: usize) -> Named {
    let mut base = match path[0].as_str() {
        "crate" | "conduit" => Vec::new(),
        "self" | "super" => here.to_vec(),
        _ => {
            return Named {
                path,
                ours: false,
                line,
            };
        }
    };
    for (index, word) in path.into_iter().enumerate() {
        match word.as_str() {
            "crate" | "conduit" if index == 0 => {}
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => base.push(word),
        }
    }
    Named {
        path: base,
        ours: true,
        line,
    }
}

fn text_at(tokens: &[Token], at: usize) -> &str {
    tokens.get(at).map_or("", |token| &token.text)
}

fn is_word(tokens: &[Token], at: usize) -> bool {
    text_at(tokens, at).starts_with(is_word_char)
}

fn is_separator(tokens: &[Token], at: usize) -> bool {
    text_at(tokens, at) == ":" && text_at(tokens, at + 1) == ":"
}

fn is_word_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The words and characters of the code, without comments and literals.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let skipped = ignored_len(rest);
        let len = if skipped > 0 {
            skipped
        } else if is_word_char(first) {
            rest.find(|c| !is_word_char(c)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (piece, after) = rest.split_at(len);
        if skipped == 0 && !first.is_whitespace() {
            tokens.push(Token {
                text: piece.to_owned(),
                line,
            });
        }
        line += piece.matches('\n').count();
        rest = after;
    }
    tokens
}

/// How many bytes of comment or literal the text begins with.
fn ignored_len(text: &str) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment_len(text);
    }
    for prefix in ["br", "cr", "r"] {
        let Some(raw) = text.strip_prefix(prefix) else {
            continue;
        };
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = prefix.len() + hashes + 1;
            return text[start..]
                .find(&end)
                .map_or(text.len(), |at| start + at + end.len());
        }
    }
    let prefix = usize::from(text.starts_with(['b', 'c']));
    match text.as_bytes().get(prefix) {
        Some(b'"') => prefix + quoted_len(&text[prefix..], '"'),
        Some(b'\'') if is_char_literal(&text[prefix..]) => {
            prefix + quoted_len(&text[prefix..], '\'')
        }
        _ => 0,
    }
}

fn block_comment_len(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        match &text.as_bytes()[at..text.len().min(at + 2)] {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// `'a'`, `'\n'` are; `'a` of a lifetime is not.
fn is_char_literal(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn quoted_len(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    text.len()
}
