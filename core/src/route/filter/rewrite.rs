//! Another path for the upstream: what the rule matched is replaced, and the rest stays.
//!
//! The result is in [normal form](crate::path) again: what a rule lets through is still what the next proxy judges.

use std::sync::Arc;

use regex::{Captures, Regex};

use crate::path::{self, BadPath};
use crate::route::matcher::{self, PatternError};

/// Longest path a rewrite may give, as long as a request's head may be. A pattern that fits many times can grow what it replaces.
const PATH_BYTES_MAX: usize = 64 * 1024;

/// What a rule's condition fixed of a path, and so what a new path takes the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matched {
    /// So many bytes at its front.
    Prefix(usize),
    /// All of it.
    Whole,
}

impl Matched {
    /// `path` with `replacement` in the place of what was matched.
    ///
    /// A slash that ended the prefix is not lost: `/v1/` replaced by `/v2` in `/v1/x` gives `/v2/x`.
    pub(super) fn replace(self, path: &str, replacement: &str) -> Result<String, BadRewrite> {
        let length = match self {
            Matched::Prefix(length) => length,
            Matched::Whole => path.len(),
        };
        let (prefix, rest) = path.split_at_checked(length).unwrap_or((path, ""));
        let glued = prefix.ends_with('/') && !replacement.ends_with('/') && !rest.is_empty();
        finish([replacement, if glued { "/" } else { "" }, rest].concat())
    }
}

/// How a path is rewritten.
#[derive(Clone, Debug, PartialEq)]
pub enum Rewrite {
    /// What the rule matched is replaced by this.
    Path(Arc<str>),
    /// Every place where the pattern fits is replaced.
    Regex(RegexRewrite),
}

impl Rewrite {
    /// The path for the upstream. `path` is in normal form and without query; so is the result.
    ///
    /// # Errors
    /// The new path has no normal form, or is too long.
    pub fn apply(&self, path: &str, matched: Matched) -> Result<String, BadRewrite> {
        match self {
            // OPTIONS * asks the server itself, and CONNECT has no path (RFC 9112 §3.2.3, §3.2.4).
            _ if !path.starts_with('/') => Ok(path.to_owned()),
            Rewrite::Path(replacement) => matched.replace(path, replacement),
            Rewrite::Regex(rewrite) => rewrite.apply(path),
        }
    }
}

/// A pattern and what takes its place; `\0` to `\9` in it are what the pattern's groups fitted (RE2).
#[derive(Clone, Debug)]
pub struct RegexRewrite {
    pattern: Regex,
    replacement: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Group(usize),
}

impl RegexRewrite {
    /// Compiles the pattern and reads the replacement.
    ///
    /// # Errors
    /// One of them cannot be used.
    pub fn new(pattern: &str, replacement: &str) -> Result<RegexRewrite, BadRegexRewrite> {
        let pattern = matcher::compile(pattern)?;
        let replacement = pieces(replacement, pattern.captures_len())?;
        Ok(RegexRewrite { pattern, replacement })
    }

    fn apply(&self, path: &str) -> Result<String, BadRewrite> {
        let mut result = String::with_capacity(path.len());
        let mut done = 0;
        for captures in self.pattern.captures_iter(path) {
            let whole = captures.get_match();
            result.push_str(&path[done..whole.start()]);
            self.expand(&captures, &mut result);
            done = whole.end();
            if result.len() > PATH_BYTES_MAX {
                return Err(BadRewrite::TooLong);
            }
        }
        result.push_str(&path[done..]);
        finish(result)
    }

    fn expand(&self, captures: &Captures<'_>, result: &mut String) {
        for piece in &self.replacement {
            match piece {
                Piece::Text(text) => result.push_str(text),
                // A group that took no part is empty.
                Piece::Group(group) => result.push_str(captures.get(*group).map_or("", |found| found.as_str())),
            }
        }
    }
}

impl PartialEq for RegexRewrite {
    fn eq(&self, other: &RegexRewrite) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.replacement == other.replacement
    }
}

fn pieces(replacement: &str, groups: usize) -> Result<Vec<Piece>, BadRegexRewrite> {
    let mut pieces = Vec::new();
    let mut rest = replacement;
    while let Some((text, escaped)) = rest.split_once('\\') {
        pieces.push(Piece::Text(text.to_owned()));
        let digit = escaped.chars().next().and_then(|digit| digit.to_digit(10)).ok_or(BadRegexRewrite::Escape)?;
        let group = digit as usize;
        if group >= groups {
            return Err(BadRegexRewrite::NoGroup(group));
        }
        pieces.push(Piece::Group(group));
        rest = &escaped[1..];
    }
    pieces.push(Piece::Text(rest.to_owned()));
    if replacement.contains(['?', '#']) {
        return Err(BadRegexRewrite::Query);
    }
    Ok(pieces)
}

fn finish(path: String) -> Result<String, BadRewrite> {
    if path.len() > PATH_BYTES_MAX {
        return Err(BadRewrite::TooLong);
    }
    match path::normalize(&path)? {
        std::borrow::Cow::Borrowed(_) => Ok(path),
        std::borrow::Cow::Owned(normal) => Ok(normal),
    }
}

/// Why a rewritten path is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRewrite {
    /// Readers would disagree about it.
    #[error("the rewritten path has no normal form: {0}")]
    Path(#[from] BadPath),
    /// It is longer than a head may be.
    #[error("the rewritten path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
}

/// Why a rewrite by regular expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRegexRewrite {
    /// Its pattern.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// A backslash that names no group.
    #[error("has a backslash that is not followed by the number of a group; a path has no backslash")]
    Escape,
    /// The pattern has fewer groups.
    #[error("uses \\{0}, and the pattern has no such group")]
    NoGroup(usize),
    /// Only the path is rewritten.
    #[error("has a '?' or '#'; only the path is rewritten, and the query stays")]
    Query,
}

#[cfg(test)]
mod tests;
