//! Reads Rust source as text, far enough to tell code from comments, strings and tests, and to name every path in it.
//!
//! No parser of the language: a rule of the house needs names and lines, not types. Where this is unsure it shows a rule
//! more rather than less.

use std::path::{Path, PathBuf};

/// One file without its comments and its tests.
pub struct Source {
    /// Relative to the folder of the workspace.
    pub file: String,
    pub tokens: Vec<Token>,
    pub paths: Vec<Named>,
    /// The lines that are left.
    pub code_lines: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    pub line: usize,
    pub kind: Kind,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    Word,
    /// The content of a string, escapes as they were written.
    Str,
    /// One sign; `::`, `!=`, `==`, `->` and `=>` are one.
    Sign,
}

/// A path such as `crate::store::Store`, out of a `use` or out of an expression. `super` and `self` have been resolved.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    pub line: usize,
    pub path: Vec<String>,
    /// Whether a `use` names it.
    pub imported: bool,
    /// The other name that a `use ... as` gives it.
    pub alias: Option<String>,
}

impl Named {
    /// Whether it ends with these names.
    pub fn ends_with(&self, names: &[&str]) -> bool {
        self.path.len() >= names.len() && self.path[self.path.len() - names.len()..].iter().eq(names)
    }

    /// Whether it begins with these names.
    pub fn starts_with(&self, names: &[&str]) -> bool {
        self.path.iter().take(names.len()).eq(names)
    }

    pub fn text(&self) -> String {
        self.path.join("::")
    }
}

impl Source {
    /// Reads a text as if it were this file.
    pub fn parse(file: &str, text: &str) -> Self {
        let tokens = without_tests(tokens(text));
        let paths = Paths { tokens: &tokens, at: 0, found: Vec::new(), inner: Vec::new(), depth: 0 }.all(&module(file));
        let mut lines: Vec<_> = tokens.iter().map(|t| t.line).collect();
        lines.dedup();
        Self { file: file.to_owned(), paths, code_lines: lines.len(), tokens }
    }

    /// Every `.rs` file below a folder of the workspace, in order. Files of tests too if wanted.
    pub fn below(folder: &str, tests: bool) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        walk(&root.join(folder), &mut files);
        files.sort();
        let named = files.iter().map(|path| {
            let relative = path.strip_prefix(root).unwrap_or(path);
            (path, relative.to_string_lossy().replace('\\', "/"))
        });
        let wanted = named.filter(|(_, name)| tests || !is_test_file(name));
        wanted.map(|(path, name)| Self::parse(&name, &read(path))).collect()
    }

    /// The module of the crate to which the file belongs: `poll` for `src/poll.rs` and for all of `src/poll/`.
    pub fn home(&self) -> &str {
        let inside = self.file.strip_prefix("src/").unwrap_or(&self.file);
        inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
    }

    /// The lines on which a word is called as a method: `.word(`.
    pub fn method_calls(&self, word: &str) -> Vec<usize> {
        let calls = self.tokens.windows(3).filter(|w| w[0].text == "." && w[1].text == word && w[2].text == "(");
        calls.map(|w| w[1].line).collect()
    }

    /// The lines on which a macro of one of these names is used: `word!`.
    pub fn macro_calls(&self, words: &[&str]) -> Vec<(usize, String)> {
        let calls = self.tokens.windows(2).filter(|w| {
            w[0].kind == Kind::Word
                && words.contains(&w[0].text.as_str())
                && w[1].kind == Kind::Sign
                && w[1].text == "!"
        });
        calls.map(|w| (w[0].line, w[0].text.clone())).collect()
    }
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display()));
    for entry in entries {
        let path = entry.unwrap_or_else(|e| panic!("cannot list {}: {e}", folder.display())).path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// `tests.rs`, `sweep_tests.rs`, and what lies in a folder `tests`.
fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.ends_with("_tests.rs") || name.contains("/tests/")
}

/// The names of the module that a file is: `src/cdn/wire/mod.rs` is `[cdn, wire]`.
fn module(file: &str) -> Vec<String> {
    let inside = file.split_once("src/").map_or(file, |(_, inside)| inside).trim_end_matches(".rs");
    let mut names: Vec<_> = inside.split('/').map(str::to_owned).collect();
    let own = names.last().map_or("", String::as_str);
    if own == "mod" || (names.len() == 1 && (own == "lib" || own == "main")) {
        names.pop();
    }
    names
}

/// Cuts a text into words, strings and signs; comments are gone.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut lexer = Lexer { chars, at: 0, line: 1, found: Vec::new() };
    while lexer.at < lexer.chars.len() {
        lexer.step();
    }
    lexer.found
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    line: usize,
    found: Vec<Token>,
}

impl Lexer {
    fn peek(&self, ahead: usize) -> char {
        self.chars.get(self.at + ahead).copied().unwrap_or('\0')
    }

    fn bump(&mut self) -> char {
        let c = self.peek(0);
        self.line += usize::from(c == '\n');
        self.at += 1;
        c
    }

    fn push(&mut self, line: usize, kind: Kind, text: String) {
        self.found.push(Token { line, kind, text });
    }

    fn step(&mut self) {
        let (line, c) = (self.line, self.peek(0));
        match c {
            '/' if self.peek(1) == '/' => {
                while self.at < self.chars.len() && self.peek(0) != '\n' {
                    self.bump();
                }
            }
            '/' if self.peek(1) == '*' => self.block_comment(),
            '"' => self.string(line),
            'r' | 'b' | 'c' if self.prefixed_string(line) => {}
            '\'' => self.quote(),
            c if c == '_' || c.is_alphanumeric() => {
                let mut word = String::new();
                while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                    word.push(self.bump());
                }
                self.push(line, Kind::Word, word);
            }
            c if c.is_whitespace() => {
                self.bump();
            }
            _ => {
                let mut sign = String::from(self.bump());
                let pair = format!("{sign}{}", self.peek(0));
                if ["::", "!=", "==", "->", "=>"].contains(&pair.as_str()) {
                    self.bump();
                    sign = pair;
                }
                self.push(line, Kind::Sign, sign);
            }
        }
    }

    /// Comments nest.
    fn block_comment(&mut self) {
        let mut depth = 0;
        while self.at < self.chars.len() {
            match (self.peek(0), self.peek(1)) {
                ('/', '*') => depth += 1,
                ('*', '/') => depth -= 1,
                _ => {
                    self.bump();
                    continue;
                }
            }
            self.bump();
            self.bump();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self, line: usize) {
        self.bump();
        let mut text = String::new();
        while self.at < self.chars.len() && self.peek(0) != '"' {
            if self.peek(0) == '\\' {
                text.push(self.bump());
            }
            text.push(self.bump());
        }
        self.bump();
        self.push(line, Kind::Str, text);
    }

    /// `r"…"`, `r#"…"#`, `b"…"`, `br"…"`, `c"…"`, and the name `r#type`. False if it is only a word that begins so.
    fn prefixed_string(&mut self, line: usize) -> bool {
        let letters = (0..2).take_while(|&n| ['r', 'b', 'c'].contains(&self.peek(n))).count();
        let raw = (0..letters).any(|n| self.peek(n) == 'r');
        let hashes = if raw { (letters..).take_while(|&n| self.peek(n) == '#').count() } else { 0 };
        if self.peek(letters + hashes) != '"' {
            let raw_name = self.peek(0) == 'r' && hashes == 1;
            if raw_name {
                self.at += 2;
            }
            return raw_name;
        }
        self.at += letters + hashes;
        if !raw {
            self.string(line);
            return true;
        }
        self.bump();
        let mut text = String::new();
        let ends = |lexer: &Self| lexer.peek(0) == '"' && (1..=hashes).all(|n| lexer.peek(n) == '#');
        while self.at < self.chars.len() && !ends(self) {
            text.push(self.bump());
        }
        self.at += 1 + hashes;
        self.push(line, Kind::Str, text);
        true
    }

    /// A character, or a lifetime: neither has names in it.
    fn quote(&mut self) {
        self.bump();
        if self.peek(0) == '\\' {
            self.bump();
            self.bump();
            while self.at < self.chars.len() && self.peek(0) != '\'' {
                self.bump();
            }
            self.bump();
        } else if self.peek(1) == '\'' {
            self.bump();
            self.bump();
        } else {
            while self.peek(0) == '_' || self.peek(0).is_alphanumeric() {
                self.bump();
            }
        }
    }
}

/// Drops every item below `#[cfg(test)]`: up to its `;` or to the end of its braces.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        if !tokens[at..].iter().take(MARK.len()).map(|t| t.text.as_str()).eq(MARK) {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at += MARK.len();
        let mut depth = 0;
        while at < tokens.len() {
            let token = &tokens[at];
            let sign = if token.kind == Kind::Sign { token.text.as_str() } else { "" };
            match sign {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            // The end of what surrounds the item is not its own.
            if depth < 0 {
                break;
            }
            at += 1;
            if depth == 0 && (sign == ";" || sign == "}") {
                break;
            }
        }
    }
    kept
}

/// Collects paths, token by token.
struct Paths<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Named>,
    /// The inline modules around, each with the depth of braces at which it ends.
    inner: Vec<(String, usize)>,
    depth: usize,
}

impl Paths<'_> {
    fn all(mut self, module: &[String]) -> Vec<Named> {
        while self.at < self.tokens.len() {
            match self.text(0) {
                "use" if self.text(1) != "<" => {
                    self.at += 1;
                    let before = self.found.len();
                    self.tree(&[]);
                    self.resolve(before, module);
                }
                "mod" if self.text(2) == "{" => {
                    self.inner.push((self.text(1).to_owned(), self.depth));
                    self.at += 2;
                }
                "{" => {
                    self.depth += 1;
                    self.at += 1;
                }
                "}" => {
                    self.depth = self.depth.saturating_sub(1);
                    self.inner.retain(|&(_, depth)| depth < self.depth);
                    self.at += 1;
                }
                _ if self.is_word(0) => {
                    let before = self.found.len();
                    let line = self.tokens[self.at].line;
                    let path = self.straight();
                    self.found.push(Named { line, path, imported: false, alias: None });
                    self.resolve(before, module);
                }
                _ => self.at += 1,
            }
        }
        self.found
    }

    fn text(&self, ahead: usize) -> &str {
        let token = self.tokens.get(self.at + ahead).filter(|t| t.kind != Kind::Str);
        token.map_or("", |t| t.text.as_str())
    }

    fn is_word(&self, ahead: usize) -> bool {
        self.tokens.get(self.at + ahead).is_some_and(|t| t.kind == Kind::Word)
    }

    /// `a::b::c`, as far as it goes on with words.
    fn straight(&mut self) -> Vec<String> {
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == "::" && self.is_word(1) {
            path.push(self.text(1).to_owned());
            self.at += 2;
        }
        path
    }

    /// `a::{b, c::{d as e, *}}`: one path for each leaf.
    fn tree(&mut self, prefix: &[String]) {
        if self.text(0) == "::" {
            self.at += 1;
        }
        let line = self.tokens.get(self.at).map_or(0, |t| t.line);
        let mut path = prefix.to_vec();
        if self.is_word(0) {
            path.extend(self.straight());
            if self.text(0) == "::" {
                self.at += 1;
            }
        }
        match self.text(0) {
            "{" => {
                self.at += 1;
                while self.at < self.tokens.len() && self.text(0) != "}" {
                    let before = self.at;
                    self.tree(&path);
                    // A comma; or something that is no tree at all, which must not stop the reading.
                    if self.text(0) == "," || self.at == before {
                        self.at += 1;
                    }
                }
                self.at += 1;
                return;
            }
            "*" => {
                path.push("*".to_owned());
                self.at += 1;
            }
            _ => {}
        }
        let alias = (self.text(0) == "as").then(|| self.text(1).to_owned());
        if alias.is_some() {
            self.at += 2;
        }
        // `use a::{self}` names `a`.
        if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
            path.pop();
        }
        self.found.push(Named { line, path, imported: true, alias });
    }

    /// Makes paths that begin with `self` or `super` begin with `crate`.
    fn resolve(&mut self, from: usize, module: &[String]) {
        let here: Vec<_> = module.iter().chain(self.inner.iter().map(|(name, _)| name)).cloned().collect();
        for named in &mut self.found[from..] {
            let ups = named.path.iter().take_while(|name| *name == "super" || *name == "self").count();
            // `self` alone is the value in a method.
            if ups == 0 || (named.path.len() == 1 && named.path[0] == "self") {
                continue;
            }
            let levels = named.path.iter().take(ups).filter(|name| *name == "super").count();
            let mut path = vec!["crate".to_owned()];
            path.extend(here.iter().take(here.len().saturating_sub(levels)).cloned());
            path.extend(named.path.drain(ups..));
            named.path = path;
        }
    }
}
