//! What a row of the table of problem codes means; the rows are in [`super::table`].

coupon::words! {
    /// What the caller may do after an answer that is not 2xx. The OpenAPI description, the schema
    /// `Retry` in `closed.rs` and `docs/problems` say the same.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Retry {
        /// Do not repeat the request automatically: it fails until something is changed.
        Never = "never",
        /// Nothing was changed, except that an import may have imported some lines. Send the same request later.
        Later = "later",
        /// The write may have happened. Send exactly the same request again, and the answer says what happened.
        Same = "same",
    }
}

/// Makes [`super::ApiErrorCode`] out of rows. A row is
///
/// ```text
/// /// What its title does not say.
/// Name: Refusal "WORD" STATUS Retry wait SECONDS "title" "title in Korean" hint "hint" "hint in Korean";
/// ```
///
/// `: Refusal` says that the rules have a `Refusal::Name`, and `: Refusal { .. }` that it has fields: a refusal without
/// a row does not compile. Its title in Korean is the sentence of the refusal, unless the row has another one; a row
/// that is of no refusal does not compile without one. `wait` is for the header `Retry-After`. `wait` and `hint` may be
/// left out. The page `docs/problems/WORD.md` has to be there: a missing page does not compile.
macro_rules! problems {
    (@maybe) => { None };
    (@maybe $it:expr) => { Some($it) };
    (@refusal $refusal:ident $code:expr) => { $code };
    (@korean [$($refusal:ident)?] $word:literal $korean:literal) => { $korean };
    (@korean [$refusal:ident] $word:literal) => {
        sentence_of($word, Lang::Ko).unwrap_or_default()
    };
    ($(
        $(#[$doc:meta])*
        $name:ident $(: $refusal:ident $({ $($fields:tt)* })?)? $word:literal $status:literal
            $retry:ident $(wait $wait:literal)? $title:literal $($korean:literal)?
            $(hint $hint:literal $korean_hint:literal)?;
    )*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ApiErrorCode {
            $($(#[$doc])* $name),*
        }

        impl ApiErrorCode {
            /// All of them, in the order of the documents.
            pub const ALL: &'static [ApiErrorCode] = &[$(ApiErrorCode::$name),*];

            /// Those that the rules of a coupon can say.
            pub(crate) const REFUSALS: &'static [ApiErrorCode] =
                &[$($(problems!(@refusal $refusal ApiErrorCode::$name),)?)*];

            /// The word on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(ApiErrorCode::$name => $word),* }
            }

            pub fn status(self) -> u16 {
                match self { $(ApiErrorCode::$name => $status),* }
            }

            pub fn retry(self) -> Retry {
                match self { $(ApiErrorCode::$name => Retry::$retry),* }
            }

            /// After how many seconds the caller may try again, where that is the same every time.
            pub fn retry_after(self) -> Option<u64> {
                match self { $(ApiErrorCode::$name => problems!(@maybe $($wait)?)),* }
            }

            /// The same short sentence every time.
            pub fn title(self) -> &'static str {
                match self { $(ApiErrorCode::$name => $title),* }
            }

            /// What to do about it, where one sentence helps everybody.
            pub fn hint(self) -> Option<&'static str> {
                match self { $(ApiErrorCode::$name => problems!(@maybe $($hint)?)),* }
            }

            pub(crate) fn title_in(self, lang: Lang) -> &'static str {
                match (lang, self) {
                    (Lang::En, code) => code.title(),
                    $((Lang::Ko, ApiErrorCode::$name) => {
                        problems!(@korean [$($refusal)?] $word $($korean)?)
                    }),*
                }
            }

            pub(crate) fn hint_in(self, lang: Lang) -> Option<&'static str> {
                match (lang, self) {
                    (Lang::En, code) => code.hint(),
                    $((Lang::Ko, ApiErrorCode::$name) => {
                        problems!(@maybe $($korean_hint)?)
                    }),*
                }
            }

            pub(crate) fn page(self) -> &'static str {
                match self {
                    $(ApiErrorCode::$name => {
                        include_str!(concat!("../../../../docs/problems/", $word, ".md"))
                    }),*
                }
            }
        }

        impl From<Refusal> for ApiErrorCode {
            fn from(refusal: Refusal) -> ApiErrorCode {
                let code = match refusal {
                    $($($refusal::$name $({ $($fields)* })? => ApiErrorCode::$name,)?)*
                };
                debug_assert_eq!(code.as_str(), refusal.as_str(), "the table has another word");
                code
            }
        }
    };
}

pub(super) use problems;
