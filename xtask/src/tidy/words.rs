//! Words that do not belong into a repository: marks of unfinished work, and names of one person's machine.

use super::Finding;
use super::tree::Tree;

/// Words and why not. Written in two pieces, so that this file does not find itself.
const WORDS: [(&str, &str); 6] = [
    (concat!("TO", "DO"), "finish it, or write an issue"),
    (concat!("FIX", "ME"), "finish it, or write an issue"),
    (concat!("XX", "X:"), "finish it, or write an issue"),
    (concat!("/wo", "rk/"), "a path of one machine; say it relative to the repository"),
    (concat!("/ro", "ot/"), "a path of one machine; say it relative to the repository"),
    (concat!("/ho", "me/"), "a path of one machine; say it relative to the repository"),
];

/// Lines with such a word. The lock file is Cargo's, go.sum Go's.
pub(super) fn misplaced(tree: &Tree) -> Vec<Finding> {
    let files = tree.files().filter(|(path, _)| !path.ends_with("Cargo.lock") && !path.ends_with("go.sum"));
    let lines = files.flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path, at + 1, line)));
    let found = lines.flat_map(|(path, line, text)| {
        let words = WORDS.iter().filter(move |(word, _)| text.contains(word));
        words.map(move |(word, why)| Finding::at(path, line, format!("{word}: {why}")))
    });
    found.collect()
}
