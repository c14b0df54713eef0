//! Splits CQL into tokens.

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum CqlToken {
    /// A name or a keyword.
    Word(String),
    /// What stands between quotes.
    Text(String),
    /// An integer.
    Number(i64),
    /// Anything else.
    Sign(&'static str),
}

/// Longer signs come first.
const SIGNS: [&str; 17] =
    ["<=", ">=", "<", ">", "=", "(", ")", "[", "]", ",", ".", ";", "?", ":", "+", "*", "-"];

/// The tokens of a text, read from the left.
#[derive(Clone, Debug)]
pub(crate) struct TokenStream {
    all: Vec<CqlToken>,
    at: usize,
}

impl TokenStream {
    /// Splits a text.
    ///
    /// # Errors
    /// A character that begins no token, or a quote without its end.
    pub(crate) fn of(text: &str) -> Result<TokenStream, String> {
        let (mut all, mut rest) = (Vec::new(), text.trim_start());
        while let Some(first) = rest.chars().next() {
            let length = if rest.starts_with("--") {
                rest.find('\n').unwrap_or(rest.len())
            } else if first == '\'' {
                let end = rest[1..].find('\'').ok_or("a quote without its end")?;
                all.push(CqlToken::Text(rest[1..=end].to_owned()));
                end + 2
            } else if first.is_ascii_digit() {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                all.push(CqlToken::Number(rest[..end].parse().map_err(|_| "a number too large")?));
                end
            } else if first.is_ascii_alphabetic() {
                let inside = |c: char| c.is_ascii_alphanumeric() || c == '_';
                let end = rest.find(|c: char| !inside(c)).unwrap_or(rest.len());
                all.push(CqlToken::Word(rest[..end].to_owned()));
                end
            } else {
                let sign = SIGNS.iter().find(|sign| rest.starts_with(**sign));
                let sign = *sign.ok_or_else(|| format!("{first:?} is not known"))?;
                all.push(CqlToken::Sign(sign));
                sign.len()
            };
            rest = rest[length..].trim_start();
        }
        Ok(TokenStream { all, at: 0 })
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == self.all.len()
    }

    /// The next token.
    pub(crate) fn token(&mut self) -> Result<CqlToken, String> {
        let token = self.all.get(self.at).cloned().ok_or("the text ends too early")?;
        self.at += 1;
        Ok(token)
    }

    /// Takes a keyword if it is next.
    pub(crate) fn word(&mut self, word: &str) -> bool {
        let is_next = matches!(self.all.get(self.at),
            Some(CqlToken::Word(next)) if next.eq_ignore_ascii_case(word));
        self.at += usize::from(is_next);
        is_next
    }

    /// Takes keywords if all of them are next.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let from = self.at;
        let all = words.iter().all(|word| self.word(word));
        if !all {
            self.at = from;
        }
        all
    }

    /// Takes a sign if it is next.
    pub(crate) fn sign(&mut self, sign: &str) -> bool {
        let is_next = matches!(self.all.get(self.at), Some(CqlToken::Sign(next)) if *next == sign);
        self.at += usize::from(is_next);
        is_next
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Result<(), String> {
        if self.word(word) { Ok(()) } else { Err(self.unexpected(word)) }
    }

    pub(crate) fn expect_sign(&mut self, sign: &str) -> Result<(), String> {
        if self.sign(sign) { Ok(()) } else { Err(self.unexpected(sign)) }
    }

    pub(crate) fn name(&mut self) -> Result<String, String> {
        match self.token()? {
            CqlToken::Word(name) => Ok(name.to_ascii_lowercase()),
            other => Err(format!("a name was expected before {other:?}")),
        }
    }

    /// One or more, with commas between them.
    pub(crate) fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut TokenStream) -> Result<T, String>,
    ) -> Result<Vec<T>, String> {
        let mut all = vec![one(self)?];
        while self.sign(",") {
            all.push(one(self)?);
        }
        Ok(all)
    }

    fn unexpected(&self, wanted: &str) -> String {
        format!("{wanted} was expected before {:?}", self.all.get(self.at))
    }
}
