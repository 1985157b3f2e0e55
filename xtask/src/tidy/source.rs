//! Just enough of Rust's lexical rules to find functions and modules: comments and literals become blanks, lines stay.

use std::iter::Peekable;
use std::str::Chars;

/// The code with the contents of comments, strings and characters blanked out, so that braces and words are those of code.
pub(super) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut word = String::new(); // the identifier before the current character: `r`, `br`, `b` open literals
    while let Some(next) = chars.next() {
        match (next, chars.peek()) {
            ('/', Some('/')) => skip_line(&mut chars),
            ('/', Some('*')) => skip_block(&mut chars, &mut out),
            ('"', _) if word.ends_with('r') && word.len() <= 2 => skip_raw(&mut chars, &mut out, 0),
            ('#', Some('"' | '#')) if word == "r" || word == "br" => {
                let mut hashes = 1;
                while chars.next_if_eq(&'#').is_some() {
                    hashes += 1;
                }
                // `r#"` is a literal, `r#type` an identifier.
                if chars.next_if_eq(&'"').is_some() {
                    skip_raw(&mut chars, &mut out, hashes);
                }
            }
            ('"', _) => skip_string(&mut chars, &mut out),
            ('\'', _) => skip_character(&mut chars),
            _ => out.push(next),
        }
        if next.is_alphanumeric() || next == '_' {
            word.push(next);
        } else {
            word.clear();
        }
    }
    out
}

fn skip_line(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|next| *next != '\n').is_some() {}
}

/// Block comments nest (Rust reference, "Comments").
fn skip_block(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut depth = 0_usize;
    let mut before = '/';
    for next in chars.by_ref() {
        match (before, next) {
            ('/', '*') => depth += 1,
            ('*', '/') => depth -= 1,
            (_, '\n') => out.push('\n'),
            _ => {}
        }
        if depth == 0 {
            return;
        }
        // `/*/` opens and does not close.
        before = if before == '/' && next == '*' || before == '*' && next == '/' { ' ' } else { next };
    }
}

fn skip_string(chars: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push_str("\"\"");
    while let Some(next) = chars.next() {
        match next {
            '"' => return,
            // What is escaped is taken along: it may be a quote, or a line end that continues the literal.
            '\\' if chars.next() == Some('\n') => out.push('\n'),
            '\n' => out.push('\n'),
            _ => {}
        }
    }
}

fn skip_raw(chars: &mut Peekable<Chars<'_>>, out: &mut String, hashes: usize) {
    out.push_str("\"\"");
    while let Some(next) = chars.next() {
        if next == '\n' {
            out.push('\n');
        }
        if next == '"' && (0..hashes).all(|_| chars.next_if_eq(&'#').is_some()) {
            return;
        }
    }
}

/// A character literal, or the tick of a lifetime, which is left alone.
fn skip_character(chars: &mut Peekable<Chars<'_>>) {
    let mut ahead = chars.clone();
    match ahead.next() {
        Some('\\') => {
            chars.next();
            chars.next();
            while chars.next().is_some_and(|next| next != '\'') {}
        }
        Some(_) if ahead.next() == Some('\'') => {
            chars.next();
            chars.next();
        }
        _ => {}
    }
}

/// A function with the lines it spans, signature and braces included.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    /// From 1.
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// Every function that has a body, in a text that [`code`] has been through. Nested ones are listed too.
pub(super) fn functions(code: &str) -> Vec<Function> {
    let starts =
        code.match_indices("fn ").filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'));
    starts.filter_map(|(at, _)| function(code, at)).collect()
}

fn function(code: &str, at: usize) -> Option<Function> {
    let name: String = code[at + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    let (mut round, mut curly) = (0_usize, 0_usize);
    for (offset, character) in code[at..].char_indices() {
        match character {
            '(' | '[' => round += 1,
            ')' | ']' => round = round.saturating_sub(1),
            ';' if round == 0 && curly == 0 => return None,
            '{' => curly += 1,
            '}' if curly <= 1 => {
                let line = code[..at].matches('\n').count() + 1;
                let lines = code[at..at + offset].matches('\n').count() + 1;
                return (curly == 1 && !name.is_empty()).then_some(Function { name, line, lines });
            }
            '}' => curly -= 1,
            _ => {}
        }
    }
    None
}
