//! Sentences for the log.

use std::error::Error;

/// As much of a stranger's words as the log shows.
const STRANGER_MAX: usize = 400;

/// What a stranger wrote, fit for one line.
pub(crate) fn of_stranger(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(STRANGER_MAX).collect()
}

/// An error with its causes, each told once.
pub(crate) fn of_error(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
