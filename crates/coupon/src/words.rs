//! Enums whose variants have words.

/// An enum whose variants have words that never change, with the list of all of them in their order.
#[macro_export]
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $Words:ident { $($(#[$about:meta])* $variant:ident = $word:literal,)* }
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
    };
}
