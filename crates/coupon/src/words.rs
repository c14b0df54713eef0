//! Enums whose variants have words.

/// An enum whose variants have words that never change, with the list of all of them in their order; and where it is
/// `else` an error, also read from them.
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $Words:ident { $($(#[$about:meta])* $variant:ident = $word:expr,)* }
        $(else $Bad:ident $says:literal)?
    ) => {
        $(#[$meta])*
        $vis enum $Words {
            $($(#[$about])* $variant,)*
        }

        impl $Words {
            $vis const ALL: [$Words; [$($word),*].len()] = [$($Words::$variant),*];

            $vis fn as_str(self) -> &'static str {
                match self {
                    $($Words::$variant => $word,)*
                }
            }
        }

        $(
            #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
            #[error($says)]
            $vis struct $Bad(String);

            impl std::str::FromStr for $Words {
                type Err = $Bad;

                fn from_str(text: &str) -> Result<$Words, $Bad> {
                    let found = $Words::ALL.into_iter().find(|it| it.as_str() == text);
                    found.ok_or_else(|| $Bad(text.chars().take(20).collect()))
                }
            }
        )?
    };
}
