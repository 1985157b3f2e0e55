//! The catalogue for users says what the catalogue in `core` says.

use tulle_core::codes::{Code, Reason};

use super::Finding;
use super::tree::Tree;

/// The catalogue for users.
const DOCUMENT: &str = "docs/errors.md";

/// Codes and reasons without their row, and rows without a code or reason.
pub(super) fn undocumented(tree: &Tree) -> Vec<Finding> {
    let expected: Vec<String> =
        Code::ALL.iter().copied().map(code_row).chain(Reason::ALL.iter().copied().map(reason_row)).collect();
    let document = tree.get(DOCUMENT).unwrap_or_default();
    let missing = expected.iter().filter(|row| document.lines().all(|line| line != row.as_str()));
    let missing = missing.map(|row| Finding::in_file(DOCUMENT, format!("the catalogue in core has this row: {row}")));
    let rows = document.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let unknown = rows.filter(|(_, line)| expected.iter().all(|row| row != line));
    let unknown =
        unknown.map(|(at, _)| Finding::at(DOCUMENT, at + 1, "not in the catalogue of core; correct or remove the row"));
    missing.chain(unknown).collect()
}

fn code_row(code: Code) -> String {
    format!("| `{code}` | {} | {} |", code.title(), code.remedy())
}

fn reason_row(reason: Reason) -> String {
    format!("| `{}` | {} | {} | `{}` |", reason.as_str(), reason.status(), reason.grpc_status(), reason.code())
}
