//! Long functions and long files: each hides a second idea that wants its own name.

use super::Finding;
use super::source::{code, functions};
use super::tree::{Tree, is_test};

/// Lines of a function, signature and braces included: what fits a screen.
const FUNCTION_LINES_MAX: usize = 70;
/// Lines of a file without its tests.
const FILE_LINES_MAX: usize = 500;

/// Functions over 70 lines and files over 500.
pub(super) fn long(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending(".rs") {
        for function in functions(&code(text)).into_iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
            let what =
                format!("fn {} has {} lines, more than {FUNCTION_LINES_MAX}; split it", function.name, function.lines);
            findings.push(Finding::at(path, function.line, what));
        }
        let lines = text.lines().take_while(|line| *line != "mod tests {").count();
        if lines > FILE_LINES_MAX && !is_test(path) {
            findings.push(Finding::in_file(path, format!("{lines} lines, more than {FILE_LINES_MAX}; split it")));
        }
    }
    findings
}
