//! Reading Rust as plain text: enough to find words, paths, attributes and what only tests have.

use std::ops::Range;

/// Where `name` stands as a word that begins a path (or stands alone): not within `a::name`.
pub(crate) fn roots<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(name).map(|(at, _)| at).filter(move |at| {
        let (before, after) = (&code[..*at], &code[at + name.len()..]);
        let qualified = before
            .strip_suffix("::")
            .is_some_and(|owner| owner.ends_with(|c| is_word(c) || c == '>'));
        !qualified && !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

/// What a path names, its groups spelt out: `store::{self, index::Index}` is `store` and `store::index::Index`.
pub(crate) fn imports(path: &str) -> Vec<String> {
    if let Some(group) = path.strip_prefix('{') {
        let group = &group[..closing(group, '{', '}').unwrap_or(group.len())];
        return items(group).into_iter().flat_map(imports).collect();
    }
    let word = if path.starts_with('*') { "*" } else { leading_word(path) };
    let Some(rest) = path[word.len()..].strip_prefix("::") else {
        return vec![word.to_owned()];
    };
    let below = imports(rest).into_iter();
    below
        .map(|below| {
            if below == "self" {
                word.to_owned()
            } else {
                format!("{word}::{below}")
            }
        })
        .collect()
}

/// The items of a group, which commas part where no group inside is open.
fn items(group: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let parted = group.split(|c: char| {
        depth = if c == '{' {
            depth + 1
        } else if c == '}' {
            depth - 1
        } else {
            depth
        };
        c == ',' && depth == 0
    });
    parted.map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Names of the modules that live in files of their own: `mod name;`.
pub(crate) fn declared(code: &str) -> impl Iterator<Item = &str> {
    let names = roots(code, "mod").map(|at| code[at + 3..].trim_start());
    names
        .filter(|rest| rest[leading_word(rest).len()..].trim_start().starts_with(';'))
        .map(leading_word)
}

/// Every `#[…]` and `#![…]`, with where it begins.
pub(crate) fn attributes(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.match_indices('#').filter_map(|(at, _)| {
        let text = &code[at..];
        let opened = text.strip_prefix("#[").or_else(|| text.strip_prefix("#!["))?;
        Some((at, &opened[..closing(opened, '[', ']')?]))
    })
}

/// Where the bracket that is open at the start of `text` closes.
fn closing(text: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 1_usize;
    text.char_indices().find_map(|(at, c)| {
        depth = if c == open {
            depth + 1
        } else if c == close {
            depth - 1
        } else {
            depth
        };
        (depth == 0).then_some(at)
    })
}

/// The folder in which a file's child modules live.
pub(crate) fn module_folder(path: &str) -> &str {
    let stem = path.trim_end_matches(".rs");
    ["/mod", "/lib", "/main"]
        .iter()
        .find_map(|root| stem.strip_suffix(root))
        .unwrap_or(stem)
}

pub(crate) fn leading_word(text: &str) -> &str {
    text.split(|c| !is_word(c)).next().unwrap_or("")
}

pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// `code` with every item under `#[cfg(test)]` blanked, line ends kept.
pub(crate) fn blank_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    for item in test_items(code) {
        kept.push_str(&code[kept.len()..item.start]);
        kept.extend(code[item].bytes().map(|byte| blank(char::from(byte))));
    }
    kept.push_str(&code[kept.len()..]);
    kept
}

/// Where the items under `#[cfg(test)]` stand, each to its `;` or closing brace.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items: Vec<Range<usize>> = Vec::new();
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        if items.last().is_some_and(|last| at < last.end) {
            continue;
        }
        let head = at + mark.len();
        let head = head + code[head..].find(['{', ';']).unwrap_or(code.len() - head);
        let body = code.get(head + 1..).filter(|_| code[head..].starts_with('{'));
        let end = body.map_or(head, |body| head + 1 + closing(body, '{', '}').unwrap_or(body.len()));
        items.push(at..code.len().min(end + 1));
    }
    items
}

/// `text` with comments and literals blanked, line ends kept, so that what remains is code.
pub(crate) fn blank_literals(text: &str) -> String {
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some(c) = rest.chars().next() {
        let raw = !kept.ends_with(is_word);
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = raw_string(rest).filter(|_| raw) {
            length
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && (rest[1..].starts_with('\\') || rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'')
        } else {
            0
        };
        kept.extend(rest[..length].chars().map(blank));
        rest = &rest[length..];
        if length == 0 {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    kept
}

/// The length of the raw string at the start of `text`, if one stands there.
fn raw_string(text: &str) -> Option<usize> {
    let opened = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = opened.len() - opened.trim_start_matches('#').len();
    let body = opened[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(text.len() - body.len() + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// The length of the quoted literal at the start of `text`, both quotes included.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, c)| at + c.len_utf8())
}

fn blank(c: char) -> char {
    if c == '\n' { '\n' } else { ' ' }
}
