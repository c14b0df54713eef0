//! The languages in which people are told things, and which of them somebody prefers.

/// A language that has a text for everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lang {
    En,
    Ko,
}

impl Lang {
    /// Its tag (RFC 5646).
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Ko => "ko",
        }
    }

    /// The language of a tag, with or without a region: `ko-KR` is Korean.
    pub fn of_tag(tag: &str) -> Option<Lang> {
        let language = tag.split('-').next().unwrap_or_default();
        [Lang::En, Lang::Ko].into_iter().find(|lang| language.eq_ignore_ascii_case(lang.tag()))
    }

    /// The one that somebody prefers, by their `Accept-Language` (RFC 9110, section 12.5.4); English if they want
    /// neither, or both as much as each other by `*`.
    pub fn preferred(header: &str) -> Lang {
        let (mut en, mut ko, mut any) = (None, None, 0.0);
        for (at, entry) in header.split(',').enumerate() {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default();
            let weight = parts.next().map_or(1.0, weight);
            match Lang::of_tag(tag) {
                Some(Lang::En) => en = better(en, (weight, at)),
                Some(Lang::Ko) => ko = better(ko, (weight, at)),
                None if tag == "*" => any = weight,
                None => {}
            }
        }
        let (en, ko) = (en.unwrap_or((any, usize::MAX)), ko.unwrap_or((any, usize::MAX)));
        // Of equal weights the first counts.
        if ko.0 > en.0 || (ko.0 == en.0 && ko.0 > 0.0 && ko.1 < en.1) { Lang::Ko } else { Lang::En }
    }
}

/// How much somebody wants a language, and where the header says so.
type Wish = (f32, usize);

fn better(one: Option<Wish>, other: Wish) -> Option<Wish> {
    one.filter(|one| one.0 >= other.0).or(Some(other))
}

/// The number of `q=0.7`; 0 for what is none.
pub fn weight(text: &str) -> f32 {
    let number = text.strip_prefix("q=").or(text.strip_prefix("Q=")).unwrap_or_default();
    number.parse().ok().filter(|number| (0.0..=1.0).contains(number)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_language() {
        let cases = [
            ("nothing", "", Lang::En),
            ("Korean", "ko", Lang::Ko),
            ("of a browser", "ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", Lang::Ko),
            ("in capitals", "KO-kr", Lang::Ko),
            ("English first", "en-GB,ko;q=0.9", Lang::En),
            ("by weight", "en;q=0.3, ko;q=0.7", Lang::Ko),
            ("with spaces", "en ; q=0.3 , ko ; q=0.7", Lang::Ko),
            ("of equal weights the first", "ko,en", Lang::Ko),
            ("the other way round", "en,ko", Lang::En),
            ("neither", "fr,de;q=0.5", Lang::En),
            ("the second one that we have", "fr,ko;q=0.5", Lang::Ko),
            ("a language of another name", "kok", Lang::En),
            ("anything", "*", Lang::En),
            ("anything but Korean, less", "ko,*;q=0.5", Lang::Ko),
            ("anything more than Korean", "ko;q=0.5,*", Lang::En),
            ("anything but English", "en;q=0,*", Lang::Ko),
            ("not Korean", "ko;q=0", Lang::En),
            ("not even Korean", "fr,ko;q=0", Lang::En),
            ("rubbish", ";;q=,ö", Lang::En),
            ("no number", "ko;q=x", Lang::En),
            ("a weight that is none", "en,ko;q=9", Lang::En),
        ];
        for (name, header, want) in cases {
            assert_eq!(Lang::preferred(header), want, "{name}");
        }
    }
}
