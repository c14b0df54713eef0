//! The names of types, and the names in pages for contributors. The numbers may only be lowered.
//!
//! A type name of one word cannot be searched for if several crates have it, and a reader does not know which
//! one is meant. So a new type has a name of two words, with the noun last: `PartitionReader`, not `Reader`. One
//! word is for the domain's own nouns, which `docs/glossary.md` explains.
//!
//! `cargo test -p coupon --test names -- --nocapture` prints the names that several types share.

#[path = "names/pages.rs"]
mod pages;
#[path = "names/sources.rs"]
mod sources;

use std::collections::BTreeMap;

use sources::{Line, end_of, sources};

/// Names of one word that several types have, and that the glossary does not explain.
const SHARED_MAX: usize = 18;

/// Of a thousand types, those with a name of one word.
const ONE_WORD_PERMILLE_MAX: usize = 165;

/// Each type of all crates: its name, and where it is.
fn types() -> Vec<(String, String)> {
    let mut types = Vec::new();
    for source in sources(&[]) {
        let mut at = 0;
        while let Some(line) = source.lines.get(at) {
            let name = type_in(&line.text);
            types.extend(
                name.map(|name| (name.to_owned(), format!("{}:{}", source.name(), line.at))),
            );
            // What is a `type` in there belongs to the trait.
            at = if has_associated_types(line) { end_of(&source.lines, at) } else { at + 1 };
        }
    }
    types
}

/// The name of the type that is declared in this line.
fn type_in(line: &str) -> Option<&str> {
    let mut words =
        line.split_whitespace().skip_while(|word| word.starts_with("pub") || *word == "in");
    let is_type = ["struct", "enum", "union", "trait", "type"].contains(&words.next()?);
    let name = words.next()?.split(|letter: char| !letter.is_alphanumeric()).next()?;
    (is_type && name.starts_with(|letter: char| letter.is_uppercase())).then_some(name)
}

fn has_associated_types(line: &Line) -> bool {
    let mut words = line.text.split_whitespace().skip_while(|word| word.starts_with("pub"));
    words.next().is_some_and(|word| word == "trait" || word.starts_with("impl"))
}

fn is_one_word(name: &str) -> bool {
    name.chars().filter(|letter| letter.is_uppercase()).count() == 1
}

#[test]
fn a_name_of_one_word_means_one_type() {
    let glossary = pages::names_in("docs/glossary.md");
    let mut places = BTreeMap::<String, Vec<String>>::new();
    for (name, place) in types().into_iter().filter(|(name, _)| is_one_word(name)) {
        places.entry(name).or_default().push(place);
    }
    places.retain(|name, places| places.len() > 1 && !glossary.contains(name));
    let rows = places.iter().map(|(name, places)| format!("{name}: {}", places.join(", ")));
    let rows = rows.collect::<Vec<String>>().join("\n");
    println!("{} names of one word that several types have:\n{rows}", places.len());
    assert!(
        places.len() <= SHARED_MAX,
        "{} names of one word are those of several types, at most {SHARED_MAX}: give your new type a name of \
         two words, as the noun is said in its field, last. All:\n{rows}",
        places.len()
    );
}

#[test]
fn most_names_have_two_words() {
    let types = types();
    let one_word = types.iter().filter(|(name, _)| is_one_word(name)).count();
    let permille = (one_word * 1_000).div_ceil(types.len());
    println!("{one_word} of {} types have a name of one word: {permille} of 1,000", types.len());
    assert!(
        permille <= ONE_WORD_PERMILLE_MAX,
        "{permille} of 1,000 types have a name of one word, at most {ONE_WORD_PERMILLE_MAX}: give your new type \
         a name of two words"
    );
}
