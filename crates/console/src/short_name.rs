//! Short names for campaigns and batches, from their titles: `봄맞이 10% 할인` is `bommaji-10-harin`.
//!
//! Hangul is written as it sounds, syllable by syllable, in the Revised Romanization: exact enough to be recognised.

/// Longest proposal, in characters: people read it in addresses and names of files.
const LENGTH_MAX: usize = 40;

const INITIALS: [&str; 19] = [
    "g", "kk", "n", "d", "tt", "r", "m", "b", "pp", "s", "ss", "", "j", "jj", "ch", "k", "t", "p",
    "h",
];
const VOWELS: [&str; 21] = [
    "a", "ae", "ya", "yae", "eo", "e", "yeo", "ye", "o", "wa", "wae", "oe", "yo", "u", "wo", "we",
    "wi", "yu", "eu", "ui", "i",
];
const FINALS: [&str; 28] = [
    "", "k", "k", "k", "n", "n", "n", "t", "l", "k", "m", "l", "l", "l", "p", "l", "m", "p", "p",
    "t", "t", "ng", "t", "t", "k", "t", "p", "t",
];
/// Before a syllable that begins with its vowel.
const LINKED: [&str; 28] = [
    "", "g", "kk", "ks", "n", "nj", "n", "d", "r", "lg", "lm", "lb", "ls", "lt", "lp", "r", "m",
    "b", "ps", "s", "ss", "ng", "j", "ch", "k", "t", "p", "",
];

/// The first free name for a title; `other` if nothing of it can be written.
pub(crate) fn proposed(title: &str, other: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let name = Some(written(title)).filter(|it| !it.is_empty());
    let name = name.unwrap_or_else(|| other.to_owned());
    let others = (2..).map(|nth| format!("{name}-{nth}"));
    let mut names = std::iter::once(name.clone()).chain(others);
    names.find(|it| !is_taken(it)).unwrap_or(name)
}

fn written(title: &str) -> String {
    let mut text = String::new();
    let mut letters = title.chars().peekable();
    while let Some(letter) = letters.next() {
        match syllable(letter) {
            Some([initial, vowel, last]) => {
                let next = letters.peek().and_then(|next| syllable(*next));
                let is_linked = next.is_some_and(|[initial, ..]| INITIALS[initial].is_empty());
                let last = if is_linked { LINKED[last] } else { FINALS[last] };
                text.extend([INITIALS[initial], VOWELS[vowel], last]);
            }
            None if letter.is_ascii_alphanumeric() => text.push(letter.to_ascii_lowercase()),
            None => text.push(' '),
        }
    }
    let mut name = String::new();
    for word in text.split_whitespace() {
        if !name.is_empty() && name.len() + 1 + word.len() > LENGTH_MAX {
            break;
        }
        name.push_str(if name.is_empty() { "" } else { "-" });
        name.push_str(word);
    }
    name.truncate(LENGTH_MAX);
    name
}

/// The numbers of the parts of a syllable of Hangul.
fn syllable(letter: char) -> Option<[usize; 3]> {
    let nth = u32::from(letter).checked_sub(u32::from('가'))? as usize;
    (nth <= '힣' as usize - '가' as usize).then_some([nth / 588, nth % 588 / 28, nth % 28])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_titles() {
        let cases = [
            ("English", "Spring sale: 10 % off!", "spring-sale-10-off"),
            ("Korean", "봄맞이 10% 할인", "bommaji-10-harin"),
            ("a free name", "가을 세일", "gaeul-seil-3"),
            ("both", "VIP 감사제 (2차)", "vip-gamsaje-2cha"),
            ("nothing to write", "🎁", "campaign"),
            ("other letters", "Été à Paris", "t-paris"),
            (
                "a long title",
                "one two three four five six seven eight nine ten",
                "one-two-three-four-five-six-seven-eight",
            ),
            ("a long word", &"x".repeat(90), &"x".repeat(LENGTH_MAX)),
        ];
        for (name, title, want) in cases {
            let is_taken = |it: &str| ["gaeul-seil", "gaeul-seil-2"].contains(&it);
            assert_eq!(proposed(title, "campaign", is_taken), want, "{name}");
        }
    }
}
